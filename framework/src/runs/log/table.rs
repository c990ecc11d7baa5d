//! `log.csv`: one row for each training step, in the columns that Trackio's `import_csv` reads.

use super::values::Named;
use crate::error::{Error, Result};
use crate::files::{TEXT, read_regular, write_atomically};
use crate::runs::store::{Position, Records};
use std::path::{Path, PathBuf};

/// The name of the file in a run directory.
pub const FILE: &str = "log.csv";
/// The columns before the values. Trackio asks for `step`, and knows `timestamp`.
const BEGINNING: [&str; 2] = ["step", "timestamp"];

/// The table of a run, to go on with.
pub struct Table {
    path: PathBuf,
    columns: Vec<String>,
    file: Option<Records>,
    /// Step, time and values of the last step, whose validation is not known yet.
    open: Option<(u64, f64, Named)>,
}

impl Table {
    /// The table of the run in `folder` without the rows after `position`, and the step of its last row. A last line
    /// that a crash cut is removed.
    pub fn open(folder: &Path, position: &Position) -> Result<(Self, u64)> {
        let path = folder.join(FILE);
        let text = match read_regular(&path, TEXT) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::io("read", &path, error)),
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let mut lines = whole.lines();
        let columns: Vec<String> =
            lines.next().map(|line| line.split(',').map(str::to_owned).collect()).unwrap_or_default();
        let known = columns.iter().map(String::as_str).take(BEGINNING.len()).eq(BEGINNING);
        let Position { step, validation_due, .. } = *position;
        let steps = lines.map(|line| line.split(',').next()?.parse::<u64>().ok());
        // In order and without a gap, as they were written.
        let kept =
            steps.zip(1..).take_while(|(found, row)| *found == Some(*row) && *row + u64::from(validation_due) <= step);
        let last = if known { kept.count() as u64 } else { 0 };
        if last == 0 && !text.is_empty() {
            std::fs::remove_file(&path).map_err(|error| Error::io("remove", &path, error))?;
            return Ok((Self { path, columns: Vec::new(), file: None, open: None }, 0));
        }
        let kept: String = whole.split_inclusive('\n').take(last as usize + 1).collect();
        if kept.len() < text.len() {
            write_atomically(&path, kept.as_bytes())?;
        }
        Ok((Self { path, columns: if last == 0 { Vec::new() } else { columns }, file: None, open: None }, last))
    }

    /// Adds the row of a step. Where it is `validated`, the row waits for that.
    pub fn step(&mut self, step: u64, time: f64, values: Named, validated: bool) -> Result<()> {
        self.end()?;
        self.open = Some((step, time, values));
        if validated { Ok(()) } else { self.end() }
    }

    /// Adds the validation to the row of its step.
    pub fn validated(&mut self, values: Named) -> Result<()> {
        if let Some((_, _, row)) = &mut self.open {
            row.extend(values);
        }
        self.end()
    }

    /// Writes the row that waits.
    pub fn end(&mut self) -> Result<()> {
        let Some((step, time, values)) = self.open.take() else { return Ok(()) };
        let new: Vec<&String> =
            values.iter().map(|(name, _)| name).filter(|name| !self.columns.contains(&quoted(name))).collect();
        if !new.is_empty() {
            self.widen(&new)?;
        }
        let mut cells = vec![step.to_string(), timestamp(time)];
        cells.extend(self.columns.iter().skip(BEGINNING.len()).map(|column| {
            let own = values.iter().find(|(name, _)| quoted(name) == *column);
            own.map_or_else(String::new, |(_, value)| value.to_string())
        }));
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(Records::append_to(self.path.clone())?),
        };
        file.write(format!("{}\n", cells.join(",")).as_bytes())
    }

    /// Adds columns at the end: of the first row all, and of the first validation its own. Earlier rows are empty
    /// there.
    fn widen(&mut self, new: &[&String]) -> Result<()> {
        self.file = None;
        let text = match self.columns.is_empty() {
            true => String::new(),
            false => {
                let bytes = read_regular(&self.path, TEXT).map_err(|error| Error::io("read", &self.path, error))?;
                String::from_utf8_lossy(&bytes).into_owned()
            }
        };
        if self.columns.is_empty() {
            self.columns = BEGINNING.map(str::to_owned).to_vec();
        }
        self.columns.extend(new.iter().map(|name| quoted(name)));
        let rows = text.lines().skip(1).map(|line| format!("{line}{}\n", ",".repeat(new.len())));
        let table: String = std::iter::once(format!("{}\n", self.columns.join(","))).chain(rows).collect();
        write_atomically(&self.path, table.as_bytes())
    }
}

/// A column's name without what ends a cell. The parts of a loss are named by components, in code.
fn quoted(name: &str) -> String {
    name.replace([',', '"', '\n', '\r'], "_")
}

/// Seconds since 1970 as `2026-01-31T23:59:59.250+00:00`, the form of ISO 8601 that Python's `datetime` writes and
/// reads.
fn timestamp(seconds: f64) -> String {
    let millis = (seconds.max(0.0) * 1e3).round() as u64;
    let (days, rest) = (millis / 86_400_000, millis % 86_400_000);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}+00:00", rest % 1000)
}

/// Year, month and day of the day that is `days` after 1970-01-01, in the Gregorian calendar.
fn date(mut days: u64) -> (u64, usize, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 0;
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_iso_8601() {
        // `date -u -d @951782400.25`: the leap day of a year that 400 divides.
        assert_eq!(timestamp(951_782_400.25), "2000-02-29T00:00:00.250+00:00");
        assert_eq!(timestamp(0.0), "1970-01-01T00:00:00.000+00:00");
        // `date -u -d @1767225599`
        assert_eq!(timestamp(1_767_225_599.0), "2025-12-31T23:59:59.000+00:00");
    }

    #[test]
    fn rows_are_cut_at_the_checkpoint_and_columns_grow() {
        let folder = tempfile::tempdir().unwrap();
        let named = |names: &[(&str, f64)]| -> Named { names.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect() };
        let open = |step: u64, validation_due: bool| {
            Table::open(folder.path(), &Position { step, validation_due, ..Position::default() }).unwrap()
        };
        let text = || std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        let (mut table, last) = open(0, false);
        assert_eq!(last, 0);
        table.step(1, 0.0, named(&[("train/loss", 0.5)]), false).unwrap();
        table.step(2, 1.0, named(&[("train/loss", 0.25)]), true).unwrap();
        table.validated(named(&[("val/accuracy", 0.75)])).unwrap();
        table.step(3, 2.0, named(&[("train/loss", 0.125)]), false).unwrap();
        let rows = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
        assert_eq!(
            rows(&text()),
            [
                "step,timestamp,train/loss,val/accuracy",
                "1,1970-01-01T00:00:00.000+00:00,0.5,",
                "2,1970-01-01T00:00:01.000+00:00,0.25,0.75",
                "3,1970-01-01T00:00:02.000+00:00,0.125,",
            ]
        );
        let whole = text();
        // A row that was cut, and the rows after a checkpoint at step 2.
        std::fs::write(folder.path().join(FILE), format!("{whole}4,1970-01")).unwrap();
        assert_eq!((open(3, false).1, text()), (3, whole.clone()));
        assert_eq!((open(2, false).1, rows(&text()).len()), (2, 3));
        // The validation of step 2 is still due: its row comes with it.
        assert_eq!((open(2, true).1, rows(&text()).len()), (1, 2));
        // A file of somebody else is replaced.
        std::fs::write(folder.path().join(FILE), "a,b\n1,2\n").unwrap();
        assert_eq!(open(3, false).1, 0);
        assert!(!folder.path().join(FILE).exists());
    }
}
