//! Identity on the wire: the authority, CSRs, credentials, and rustls configurations that know SPIFFE.
