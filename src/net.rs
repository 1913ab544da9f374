//! Sockets, drain and backoff: no word of the mesh in here.
