//! What the compiler makes of the mesh: one resource per name, pure, incremental.
