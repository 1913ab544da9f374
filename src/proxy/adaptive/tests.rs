//! Breakers: never over a limit, over threads too; the line is fair.
