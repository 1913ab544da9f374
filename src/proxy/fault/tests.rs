//! Which fault a request meets.
