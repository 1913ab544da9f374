//! Units without a connection.
