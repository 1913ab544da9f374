//! The command line: one file per subcommand, its arguments beside its run.
