//! What launchers need of a shell: words that it takes as they are, and what a program says.

use maclip_framework::error::{Error, Result};
use std::path::Path;
use std::process::{Command, Stdio};

/// `text` as one word of a shell, whatever is in it.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A path as text, for a script.
///
/// # Errors
/// Where it is no text of one line.
pub fn text_of(path: &Path) -> Result<&str> {
    path.to_str().filter(|text| !text.chars().any(char::is_control)).ok_or_else(|| {
        Error::failed(format!("{} cannot be written into a script: it is not UTF-8, or has a line end", path.display()))
            .help("give a folder of plain characters with `--runs`")
    })
}

/// What `command` writes to standard output.
///
/// # Errors
/// Where it cannot be started or fails, with what it says.
pub fn said(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| {
        Error::failed(format!("cannot start `{program}`: {error}"))
            .help("call maclip where jobs are submitted from, such as the login node of the cluster")
    })?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let words = [errors.trim(), said.trim()].into_iter().find(|text| !text.is_empty()).unwrap_or("it said nothing");
    Err(Error::failed(format!("`{program}` ended with {}: {words}", output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word() {
        for text in ["", "plain/1.json", "two words", "it's", "$(id) `id` \"x\" \\ * ~ # %a", "größe"] {
            let echoed = said(Command::new("sh").arg("-c").arg(format!("printf %s {}", word(text)))).unwrap();
            assert_eq!(echoed, text);
        }
        assert_eq!(word("a/b.json"), "a/b.json");
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let told = |script: &str| said(Command::new("sh").arg("-c").arg(script)).unwrap_err().to_string();
        assert!(told("echo no such partition >&2; exit 3").contains("3: no such partition"));
        assert!(told("exit 1").contains("it said nothing"));
        assert!(said(&mut Command::new("no-such-program")).unwrap_err().to_string().contains("login node"));
        assert!(text_of(Path::new("a\nb")).unwrap_err().to_string().contains("--runs"));
    }
}
