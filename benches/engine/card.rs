//! The memory of an NVIDIA card while a measurement runs.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

/// Watches a card; `nvidia-smi` reads it every 50 ms.
pub struct Watch {
    program: Child,
    peak: JoinHandle<f64>,
}

impl Watch {
    /// Of the card with this number.
    ///
    /// # Panics
    /// Where there is no `nvidia-smi`: other memory would be measured in its place.
    pub fn start(card: usize) -> Self {
        let mut command = Command::new("nvidia-smi");
        command.args(["--query-gpu=memory.used", "--format=csv,noheader,nounits", "--loop-ms=50"]);
        command.args(["--id", &card.to_string()]).stdout(Stdio::piped());
        let mut program = command.spawn().unwrap_or_else(|error| panic!("nvidia-smi, for the card's memory: {error}"));
        let lines = BufReader::new(program.stdout.take().expect("its output is piped")).lines();
        let peak = thread::spawn(move || {
            lines.map_while(Result::ok).filter_map(|line| line.trim().parse().ok()).fold(0.0, f64::max)
        });
        Self { program, peak }
    }

    /// Peak memory of all programs on the card since then, MiB.
    pub fn stop(mut self) -> f64 {
        // Killing a program that has ended is no fault.
        let _ = self.program.kill();
        let _ = self.program.wait();
        self.peak.join().expect("reading numbers does not panic")
    }
}
