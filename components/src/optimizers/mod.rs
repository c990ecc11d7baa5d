//! Slot `optimizer`.
mod adamw;
mod sgd;
