//! Programs that end with this one, however it ends, and that are never waited for without an end.
//!
//! Each program gets a guard: a shell that leads its process group and reads from a pipe whose other end this process
//! holds. The system closes that end when this process ends, also where it is killed at once and no code of ours runs
//! any more; the shell then ends the whole group. It needs nothing but a POSIX shell, and the same way ends a program
//! that hangs, with all that it has started.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What the guard does: a signal that is meant for the program must not end its guard before it.
const GUARD: &str = "trap '' HUP INT QUIT TERM; read -r _; kill -KILL 0";
/// How often a program that has closed its pipes is asked whether it has ended.
const POLL: Duration = Duration::from_millis(2);

/// The shell that leads the group of one program.
struct Guard(Child);

impl Guard {
    /// A new group. It is not that of this process, so that Ctrl-C reaches maclip alone, which ends the step that it is
    /// in.
    fn start() -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", GUARD]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        shell.process_group(0).spawn().map(Self).map_err(|error| {
            io::Error::other(format!("the shell `/bin/sh` that ends it together with maclip does not start: {error}"))
        })
    }

    fn group(&self) -> io::Result<i32> {
        i32::try_from(self.0.id()).map_err(io::Error::other)
    }
}

impl Drop for Guard {
    /// Ends whatever is left of the group, and the guard with it.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Both fail only where the guard was ended from outside, and then there is nothing to do.
        self.0.wait().ok();
    }
}

/// A program at work. It ends when this value is dropped, or when this process ends.
pub(super) struct Guarded {
    child: Child,
    guard: Option<Guard>,
}

impl Guarded {
    /// A group for a program that is started next. It is made before the pipes of that program are open, so that the
    /// guard holds none of them.
    pub(super) fn prepare() -> io::Result<Prepared> {
        Guard::start().map(Prepared)
    }

    /// What the program writes to its standard output, once.
    pub(super) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// What the program writes to its standard error, once.
    pub(super) fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Whether the program still runs.
    #[cfg(feature = "libav")]
    pub(super) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends the program and all that it has started.
    pub(super) fn end(&mut self) {
        // Fails where it has ended by itself.
        self.child.kill().ok();
        drop(self.guard.take());
    }

    /// How the program ended. One that has closed its pipes and goes on for `limit` is ended.
    pub(super) fn wait(&mut self, limit: Duration) -> io::Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            match self.child.try_wait()? {
                Some(status) => return Ok(status),
                None if begun.elapsed() < limit => std::thread::sleep(POLL),
                None => {
                    self.end();
                    return self.child.wait();
                }
            }
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.end();
        // It was ended just now, so this does not wait for long.
        self.child.wait().ok();
    }
}

/// A group that waits for its program.
pub(super) struct Prepared(Guard);

impl Prepared {
    /// Starts the program in the group.
    pub(super) fn spawn(self, command: &mut Command) -> io::Result<Guarded> {
        let child = command.process_group(self.0.group()?).spawn()?;
        Ok(Guarded { child, guard: Some(self.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn readers_guarded_programs_end_with_all_that_they_started() {
        // The grandchild holds the pipe: it would stay open for a minute if only the child were ended.
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & sleep 60"]).stdout(Stdio::piped());
        let mut program = Guarded::prepare().unwrap().spawn(&mut command).unwrap();
        let mut pipe = program.stdout().unwrap();
        let begun = Instant::now();
        program.end();
        pipe.read_to_end(&mut Vec::new()).unwrap();
        assert!(!program.wait(Duration::ZERO).unwrap().success());
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn readers_guarded_programs_that_close_their_pipes_and_go_on_are_ended() {
        let mut command = Command::new("sh");
        command.args(["-c", "exec >&- ; exec sleep 60"]).stdout(Stdio::piped());
        let mut program = Guarded::prepare().unwrap().spawn(&mut command).unwrap();
        let begun = Instant::now();
        assert!(!program.wait(Duration::from_millis(50)).unwrap().success());
        assert!(begun.elapsed() < Duration::from_secs(20));
        let mut command = Command::new("true");
        let mut program = Guarded::prepare().unwrap().spawn(&mut command).unwrap();
        assert!(program.wait(Duration::from_secs(20)).unwrap().success());
    }
}
