//! Tests of the control plane's end.
