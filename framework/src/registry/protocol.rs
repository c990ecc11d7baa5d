//! The protocol of a method's public code, as facts that anybody can check: each names the file that it stands in.
//!
//! `docs/audit.md`, `maclip audit` and the tables of `docs/methods.md` are made from them.

/// A repository, at the commit that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Owner and name on GitHub.
    pub name: &'static str,
    /// 40 hex digits.
    pub commit: &'static str,
}

impl Repository {
    /// A place in it: `place` is a function, a class or a key of `file`, or empty for the whole file.
    pub const fn at(self, file: &'static str, place: &'static str) -> Source {
        Source::Code { repository: self, file, place }
    }

    /// The first seven digits of the commit.
    pub fn short(&self) -> &'static str {
        self.commit.get(..7).unwrap_or(self.commit)
    }

    /// The address of its files at the commit.
    pub fn link(&self) -> String {
        format!("https://github.com/{}/tree/{}", self.name, self.commit)
    }
}

/// Where a statement can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Public code.
    Code {
        /// Whose code.
        repository: Repository,
        /// Path in the repository.
        file: &'static str,
        /// A function, a class or a key of the file; empty for the whole file.
        place: &'static str,
    },
    /// A paper, with the table or the section.
    Paper(&'static str),
}

/// The question that a statement answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Which weights are tested.
    Selection,
    /// Shots, queries, tasks of a step, number of tasks.
    Training,
    /// Which optimizer runs, and at which rate.
    Optimizer,
    /// Frames and pixels of a clip in training.
    Frames,
    /// Frames of a clip in the test.
    TestFrames,
    /// Tasks and queries of the test, and the shots of the weights that it takes.
    Test,
    /// Whether a prediction depends on other queries, or on the label of its own.
    Transduction,
    /// What the code does and its description does not say, and what changes numbers.
    Finding,
}

impl About {
    /// All questions, in the order of the page.
    pub const ALL: [About; 8] = [
        About::Selection,
        About::Training,
        About::Optimizer,
        About::Frames,
        About::Test,
        About::TestFrames,
        About::Transduction,
        About::Finding,
    ];

    /// The question in a word or two.
    pub fn words(self) -> &'static str {
        match self {
            About::Selection => "chosen on",
            About::Training => "training",
            About::Optimizer => "optimizer",
            About::Frames => "frames",
            About::TestFrames => "frames in the test",
            About::Test => "test",
            About::Transduction => "transductive",
            About::Finding => "finding",
        }
    }
}

/// One fact.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// Its question.
    pub about: About,
    /// The fact, in plain words.
    pub text: &'static str,
    /// Where it can be checked; at least one.
    pub sources: &'static [Source],
    /// By how much it changes a number, where that was measured or computed, and how. `None`: not measured.
    pub effect: Option<&'static str>,
}

impl Statement {
    /// The fact `text`, without a measured effect.
    pub const fn new(about: About, text: &'static str, sources: &'static [Source]) -> Self {
        Statement { about, text, sources, effect: None }
    }

    /// A finding, with its effect where it was measured or computed.
    pub const fn finding(text: &'static str, effect: Option<&'static str>, sources: &'static [Source]) -> Self {
        Statement { about: About::Finding, text, sources, effect }
    }
}

/// Which weights the public code tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The best on val classes.
    Validation,
    /// The best on val classes if an option asks for it, else the last.
    ValidationOrLast,
    /// Those at an iteration that is given before.
    Fixed,
    /// The best on the test classes.
    Test,
    /// The code evaluates on the test classes while it trains, logs the best, and leaves the choice to its user.
    TestLogged,
    /// It is not known.
    Unknown,
}

impl Selection {
    /// In a word or two.
    pub fn words(self) -> &'static str {
        match self {
            Selection::Validation => "val",
            Selection::ValidationOrLast => "val or last",
            Selection::Fixed => "fixed iteration",
            Selection::Test => "test",
            Selection::TestLogged => "test is logged",
            Selection::Unknown => "not known",
        }
    }
}

/// Which frames of a clip the test takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestFrames {
    /// The same every time.
    Fixed,
    /// Drawn anew every time.
    Random,
    /// Drawn anew, but the same every time on Kinetics.
    RandomButKinetics,
    /// It is not known.
    Unknown,
}

impl TestFrames {
    /// In a word or two.
    pub fn words(self) -> &'static str {
        match self {
            TestFrames::Fixed => "fixed",
            TestFrames::Random => "random",
            TestFrames::RandomButKinetics => "random, Kinetics fixed",
            TestFrames::Unknown => "not known",
        }
    }
}

/// What a prediction depends on beside its clip and the supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transduction {
    /// Nothing.
    None,
    /// The other queries of the episode.
    Queries,
    /// The other queries, and the class of the query itself.
    QueriesAndLabel,
}

impl Transduction {
    /// In a word or two.
    pub fn words(self) -> &'static str {
        match self {
            Transduction::None => "no",
            Transduction::Queries => "queries",
            Transduction::QueriesAndLabel => "queries and label",
        }
    }
}

/// How many shots the weights of a test were trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainedShots {
    /// As many as the test has.
    AsTested,
    /// One, whatever the test has.
    One,
    /// It is not known.
    Unknown,
}

impl TrainedShots {
    /// In a word or two.
    pub fn words(self) -> &'static str {
        match self {
            TrainedShots::AsTested => "as tested",
            TrainedShots::One => "always one",
            TrainedShots::Unknown => "not known",
        }
    }
}

/// How the public code of a method trains, chooses and tests.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// Which weights it tests.
    pub selection: Selection,
    /// Tasks of the test; `None` where they are not known.
    pub test_tasks: Option<u32>,
    /// Which frames of a clip the test takes.
    pub test_frames: TestFrames,
    /// What a prediction depends on.
    pub transduction: Transduction,
    /// The same, for the components here with their default options.
    pub transduction_here: Transduction,
    /// Shots in training.
    pub shots: TrainedShots,
    /// The facts behind these answers, and what else was found. In the order of [`About::ALL`].
    pub statements: &'static [Statement],
}

impl Protocol {
    /// Its statements about a question.
    pub fn about(&self, about: About) -> impl Iterator<Item = &'static Statement> + use<> {
        self.statements.iter().filter(move |statement| statement.about == about)
    }
}
