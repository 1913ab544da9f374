//! Tests of the proxy's end.
