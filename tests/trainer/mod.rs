//! The trainer as a program.

// A worker claims runs, watches their processes, and writes under a fence.
mod worker;
