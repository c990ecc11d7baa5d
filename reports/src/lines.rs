//! Tables and notes as lines of text that fit a terminal. A file or a pipe gets everything, at its full width.

use maclip_language::printable;

/// How text is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Characters of a line; `None` where lines may have any length.
    pub width: Option<usize>,
    /// Whether bold and faint letters can be shown.
    pub colored: bool,
}

impl Look {
    /// `text` in bold letters.
    pub fn bold(&self, text: &str) -> String {
        self.styled(text, Style::Bold)
    }

    /// `text` in faint letters.
    pub fn faint(&self, text: &str) -> String {
        self.styled(text, Style::Faint)
    }

    fn styled(&self, text: &str, style: Style) -> String {
        match (self.colored && !text.is_empty(), style) {
            (true, Style::Bold) => format!("\u{1b}[1m{text}\u{1b}[0m"),
            (true, Style::Faint) => format!("\u{1b}[2m{text}\u{1b}[0m"),
            _ => text.to_owned(),
        }
    }

    /// `text` in lines that fit, each behind `indent` blanks; those after the first two blanks further in.
    pub fn note(&self, text: &str, indent: usize) -> String {
        let text = printable(text);
        let Some(width) = self.width.filter(|width| indent + length(&text) > *width) else {
            return format!("{}{text}", " ".repeat(indent));
        };
        let lines = wrapped(&text, width.saturating_sub(indent + 2).max(NARROWEST));
        let each = lines.iter().enumerate();
        let each = each.map(|(at, line)| format!("{}{line}", " ".repeat(if at == 0 { indent } else { indent + 2 })));
        each.collect::<Vec<_>>().join("\n")
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Style {
    #[default]
    Plain,
    Bold,
    Faint,
}

/// What may be done with the text of a column where there is little room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    #[default]
    Number,
    /// Letters in the middle are left out.
    Name,
    /// Its first folders are left out.
    Path,
    /// It goes on in further lines.
    Words,
    /// The last column: it goes below the row.
    Note,
}

/// A column of a [`Grid`].
#[derive(Clone, Debug)]
pub struct GridColumn {
    /// What stands above it.
    pub heading: String,
    /// How its text is fitted. Numbers stand to the right, everything else to the left.
    pub kind: Kind,
    /// Where there is no room, the column with the highest rank goes first; 0 stays.
    pub rank: u8,
}

impl GridColumn {
    /// A column of this kind that goes by `rank`.
    pub fn new(heading: &str, kind: Kind, rank: u8) -> Self {
        Self { heading: printable(heading), kind, rank }
    }
}

/// A cell of a [`Grid`].
#[derive(Clone, Debug, Default)]
pub struct GridCell {
    text: String,
    style: Style,
}

impl GridCell {
    /// Plain text; characters that a terminal would obey are replaced.
    pub fn new(text: &str) -> Self {
        Self { text: printable(text), style: Style::Plain }
    }

    /// The same in bold letters.
    pub fn bold(text: &str) -> Self {
        Self { style: Style::Bold, ..Self::new(text) }
    }

    /// The same in faint letters.
    pub fn faint(text: &str) -> Self {
        Self { style: Style::Faint, ..Self::new(text) }
    }
}

/// A table of text.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    columns: Vec<GridColumn>,
    rows: Vec<Vec<GridCell>>,
    ruled: bool,
}

/// How a table is fitted.
struct Fitted<'a> {
    /// Width of each column's longest text.
    natural: Vec<usize>,
    /// Positions of the columns that are shown.
    shown: Vec<usize>,
    /// Headings of the others, the last one that had to go first.
    left_out: Vec<&'a str>,
    /// Whether notes stand below their rows.
    below: bool,
}

/// Columns stand this far apart, and the first as far from the edge.
const GAP: usize = 2;
/// Names, paths and words are not made narrower than this.
const NARROWEST: usize = 18;
/// A note that gets less room than this goes below its row, this far in.
const ROOM_FOR_NOTE: usize = 36;
const BELOW: usize = 4;

impl Grid {
    /// A table without rows.
    pub fn new(columns: Vec<GridColumn>) -> Self {
        Self { columns, rows: Vec::new(), ruled: false }
    }

    /// With a line below the headings.
    pub fn ruled(self) -> Self {
        Self { ruled: true, ..self }
    }

    /// Adds a row, a cell for each column.
    pub fn push(&mut self, row: Vec<GridCell>) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Headings of the columns for which there is no room.
    pub fn left_out(&self, look: &Look) -> Vec<&str> {
        self.fitted(look).left_out
    }

    /// Which columns there is room for.
    fn fitted(&self, look: &Look) -> Fitted<'_> {
        let natural: Vec<usize> = (0..self.columns.len()).map(|at| self.natural(at)).collect();
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let mut left_out = Vec::new();
        let below = look.width.is_some_and(|width| self.has_note_below(&natural, width));
        if below {
            shown.pop();
        }
        if let Some(width) = look.width {
            let least = |at: &usize| match self.columns[*at].kind {
                Kind::Number => natural[*at],
                _ => natural[*at].min(NARROWEST),
            };
            let total = |shown: &[usize]| shown.iter().map(|at| least(at) + GAP).sum::<usize>();
            // What says nothing goes before anything that does.
            if shown.iter().map(|at| natural[*at] + GAP).sum::<usize>() > width {
                shown.retain(|at| self.rows.iter().any(|row| !row[*at].text.is_empty()));
            }
            while total(&shown) > width {
                let rank = |place: &usize| self.columns[shown[*place]].rank;
                let Some(place) = (0..shown.len()).max_by_key(rank).filter(|place| rank(place) > 0) else { break };
                left_out.push(self.columns[shown.remove(place)].heading.as_str());
            }
        }
        left_out.reverse();
        Fitted { natural, shown, left_out, below }
    }

    /// The lines. Where columns had to be left out, the last line names them.
    pub fn lines(&self, look: &Look) -> Vec<String> {
        let Fitted { natural, shown, left_out, below } = self.fitted(look);
        let widths = self.widths(&shown, &natural, look.width);
        let mut lines = Vec::new();
        let headings: Vec<GridCell> = self.columns.iter().map(|column| GridCell::bold(&column.heading)).collect();
        if headings.iter().any(|heading| !heading.text.is_empty()) {
            lines.extend(self.row(&headings, &shown, &widths, look));
        }
        if self.ruled {
            let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            lines.push(format!("{}{}", " ".repeat(GAP), rule.join(&" ".repeat(GAP))));
        }
        for row in &self.rows {
            lines.extend(self.row(row, &shown, &widths, look));
            let note = row.last().filter(|note| below && !note.text.is_empty());
            lines.extend(
                note.map(|note| look.note(&note.text, BELOW))
                    .iter()
                    .flat_map(|text| text.split('\n'))
                    .map(str::to_owned),
            );
        }
        if !left_out.is_empty() {
            lines.push(look.note(&format!("… not shown at this width: {}", left_out.join(", ")), GAP));
        }
        lines
    }

    /// Whether the notes go below their rows: the other columns, which come first, leave too little room.
    fn has_note_below(&self, natural: &[usize], width: usize) -> bool {
        let Some((note, others)) = natural.split_last() else { return false };
        let room = width.saturating_sub(others.iter().map(|width| width + GAP).sum::<usize>() + GAP);
        self.columns.last().is_some_and(|column| column.kind == Kind::Note) && room < (*note).min(ROOM_FOR_NOTE)
    }

    fn natural(&self, at: usize) -> usize {
        let cells = self.rows.iter().map(|row| length(&row[at].text));
        cells.chain([length(&self.columns[at].heading)]).max().unwrap_or(0)
    }

    /// The width of each column that is shown: names, paths and words give what is too much, the widest of them first.
    fn widths(&self, shown: &[usize], natural: &[usize], width: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = shown.iter().map(|at| natural[*at]).collect();
        let Some(width) = width else { return widths };
        let soft: Vec<usize> = (0..shown.len()).filter(|at| self.columns[shown[*at]].kind != Kind::Number).collect();
        let mut over = widths.iter().map(|width| width + GAP).sum::<usize>().saturating_sub(width);
        while over > 0 {
            // Words can go on in another line, so they give first.
            let long = |at: usize| matches!(self.columns[shown[at]].kind, Kind::Words | Kind::Note);
            let gives = |at: &&usize| (long(**at), widths[**at]);
            let Some(widest) = soft.iter().filter(|at| widths[**at] > NARROWEST).max_by_key(gives).copied() else {
                return widths;
            };
            widths[widest] -= 1;
            over -= 1;
        }
        widths
    }

    /// A row in one line, or in as many as its words need.
    fn row(&self, row: &[GridCell], shown: &[usize], widths: &[usize], look: &Look) -> Vec<String> {
        let parts: Vec<Vec<String>> = shown
            .iter()
            .zip(widths)
            .map(|(at, width)| match self.columns[*at].kind {
                Kind::Number => vec![row[*at].text.clone()],
                Kind::Name => vec![middle(&row[*at].text, *width)],
                Kind::Path => vec![path(&row[*at].text, *width)],
                Kind::Words | Kind::Note => wrapped(&row[*at].text, *width),
            })
            .collect();
        let height = parts.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let line = |number: usize| {
            let mut line = String::new();
            for ((at, width), part) in shown.iter().zip(widths).zip(&parts) {
                let text = part.get(number).map_or("", String::as_str);
                let pad = " ".repeat(width.saturating_sub(length(text)));
                let text = look.styled(text, row[*at].style);
                let number = self.columns[*at].kind == Kind::Number;
                line += &" ".repeat(GAP);
                line += &if number { format!("{pad}{text}") } else { format!("{text}{pad}") };
            }
            line.trim_end().to_owned()
        };
        (0..height).map(line).collect()
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// `text` in at most `width` characters, with `…` for its middle: beginnings and endings tell names apart.
fn middle(text: &str, width: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= width {
        return text.to_owned();
    }
    let tail = width.saturating_sub(1) / 2;
    let head = width.saturating_sub(1 + tail);
    letters[..head].iter().chain(&['…']).chain(&letters[letters.len() - tail..]).collect()
}

/// A path in at most `width` characters: its last folders, and of these the last one whole where that is possible.
fn path(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let ends = text.match_indices('/').map(|(at, _)| format!("…{}", &text[at..]));
    let fits = ends.into_iter().find(|end| length(end) <= width && length(end) > 2);
    fits.unwrap_or_else(|| middle(text.rsplit('/').next().unwrap_or(text), width))
}

/// `text` in lines of at most `width` characters, broken at blanks, and within a word that is longer than a line.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut now = String::new();
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if !now.is_empty() && length(&now) + 1 + word.len() > width {
            lines.push(std::mem::take(&mut now));
        }
        while word.len() > width {
            let rest = word.split_off(width);
            lines.push(word.into_iter().collect());
            word = rest;
        }
        if !now.is_empty() {
            now.push(' ');
        }
        now.extend(word);
    }
    lines.push(now);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let column = GridColumn::new;
        let columns = vec![
            column("run", Kind::Path, 0),
            column("state", Kind::Name, 0),
            column("accuracy", Kind::Number, 1),
            column("updated", Kind::Name, 2),
            column("reason", Kind::Note, 0),
        ];
        let mut grid = Grid::new(columns);
        for (run, reason) in [
            ("runs/a_study_with_a_long_name/both+shot=5-s1-5f5b255f", ""),
            ("runs/a_study_with_a_long_name/a", "the loss is not a number at step 212, and then nothing more happened"),
        ] {
            grid.push([run, "failed", "61.2 ± 1.0", "3 min ago", reason].map(GridCell::new).into());
        }
        grid
    }

    #[test]
    fn every_line_fits_and_a_pipe_gets_everything() {
        let wide = grid().lines(&Look::default());
        assert_eq!(wide.len(), 3);
        assert!(wide[2].contains("runs/a_study_with_a_long_name/a ") && wide[2].ends_with("happened"), "{wide:?}");
        for width in 60..170 {
            let lines = grid().lines(&Look { width: Some(width), colored: false });
            assert!(lines.iter().all(|line| length(line) <= width), "{width}: {lines:#?}");
            let text = lines.join(" ");
            assert!(text.contains("5f5b255f") && text.contains("failed"), "{width}: {lines:#?}");
        }
    }

    #[test]
    fn columns_go_by_their_rank_and_are_named() {
        let words = |width: usize| {
            let lines = grid().lines(&Look { width: Some(width), colored: false });
            lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert!(words(38).ends_with("not shown at this width: accuracy, updated"), "{}", words(38));
        assert!(words(50).contains("accuracy a") || words(50).contains("accuracy …"), "{}", words(50));
        assert!(words(50).ends_with("not shown at this width: updated"), "{}", words(50));
    }

    #[test]
    fn a_note_without_room_goes_below_its_row() {
        let lines = grid().lines(&Look { width: Some(90), colored: false });
        assert!(lines[2].trim_end().ends_with("3 min ago") && lines[3].starts_with("    the loss is"), "{lines:#?}");
        assert!(!lines[0].contains("reason"), "{lines:#?}");
        let lines = grid().lines(&Look { width: Some(126), colored: false });
        assert!(lines[2].contains("3 min ago  the loss is") && lines[0].ends_with("reason"), "{lines:#?}");
    }

    #[test]
    fn names_keep_both_ends_and_paths_their_last_folders() {
        assert_eq!(middle("abcdefghij", 6), "abc…ij");
        assert_eq!(path("runs/modules/both-s1", 13), "…/both-s1");
        assert_eq!(path("runs/modules/both-s1", 17), "…/modules/both-s1");
        assert_eq!(path("runs/a-very-long-name", 8), "a-ve…ame");
        assert_eq!(wrapped("one two, abcdefghi", 7), ["one", "two,", "abcdefg", "hi"]);
    }

    #[test]
    fn bold_letters_are_for_terminals_and_take_no_room() {
        let mut grid = Grid::new(vec![GridColumn::new("", Kind::Name, 0), GridColumn::new("", Kind::Number, 0)]);
        grid.push(vec![GridCell::new("a\u{1b}[31m"), GridCell::bold("1")]);
        grid.push(vec![GridCell::new("b"), GridCell::faint("23")]);
        let lines = grid.lines(&Look { width: None, colored: true });
        assert_eq!(lines, ["  a\u{fffd}[31m   \u{1b}[1m1\u{1b}[0m", "  b       \u{1b}[2m23\u{1b}[0m"]);
        assert_eq!(grid.lines(&Look::default())[1], "  b       23");
    }
}
