//! Slot `frames`.
mod clip_fsar_interval;
mod clip_fsar_segments;
mod dense;
mod linspace;
#[cfg(test)]
mod properties;
mod trx;
mod uniform_segments;
