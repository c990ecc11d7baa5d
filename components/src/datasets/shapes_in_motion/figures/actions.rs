//! What figures do, and how it is said.

use crate::datasets::shapes_in_motion::played::Words;

/// What a figure does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Walk,
    Run,
    Jump,
    Hop,
    Crawl,
    Sneak,
    Wave,
    Clap,
    Throw,
    Catch,
    Dribble,
    Kick,
    Punch,
    Stab,
    Slash,
    Golf,
    Shoot,
    Pour,
    Drink,
    Eat,
    Sit,
    Stand,
    PickUp,
    PutDown,
    LiftOverhead,
    Lower,
    Squat,
    PushUp,
    SitUp,
    PullUp,
    StarJump,
    RaiseArms,
    LowerArms,
    FallDown,
    GetUp,
    Cartwheel,
    TurnAround,
    Bow,
    Stretch,
    Dance,
    ClimbUp,
    ClimbDown,
    Push,
    Pull,
    Row,
    Point,
    Salute,
    Comb,
}

/// Where a body looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Facing {
    Left,
    Right,
    Towards,
    Away,
}

impl Facing {
    pub const ALL: [Facing; 4] = [Facing::Left, Facing::Right, Facing::Towards, Facing::Away];

    /// In degrees, as [`super::body::joints`] counts.
    pub fn degrees(self) -> f32 {
        match self {
            Facing::Right => 0.0,
            Facing::Towards => 90.0,
            Facing::Left => 180.0,
            Facing::Away => 270.0,
        }
    }

    /// Of one who goes this way.
    pub fn way(self) -> &'static str {
        match self {
            Facing::Left => "to the left",
            Facing::Right => "to the right",
            Facing::Towards => "towards the camera",
            Facing::Away => "away from the camera",
        }
    }

    /// Of one who stands.
    pub fn looking(self) -> &'static str {
        match self {
            Facing::Left => "facing left",
            Facing::Right => "facing right",
            Facing::Towards => "facing the camera",
            Facing::Away => "seen from behind",
        }
    }
}

impl Action {
    pub const ALL: [Action; 48] = [
        Action::Walk,
        Action::Run,
        Action::Jump,
        Action::Hop,
        Action::Crawl,
        Action::Sneak,
        Action::Wave,
        Action::Clap,
        Action::Throw,
        Action::Catch,
        Action::Dribble,
        Action::Kick,
        Action::Punch,
        Action::Stab,
        Action::Slash,
        Action::Golf,
        Action::Shoot,
        Action::Pour,
        Action::Drink,
        Action::Eat,
        Action::Sit,
        Action::Stand,
        Action::PickUp,
        Action::PutDown,
        Action::LiftOverhead,
        Action::Lower,
        Action::Squat,
        Action::PushUp,
        Action::SitUp,
        Action::PullUp,
        Action::StarJump,
        Action::RaiseArms,
        Action::LowerArms,
        Action::FallDown,
        Action::GetUp,
        Action::Cartwheel,
        Action::TurnAround,
        Action::Bow,
        Action::Stretch,
        Action::Dance,
        Action::ClimbUp,
        Action::ClimbDown,
        Action::Push,
        Action::Pull,
        Action::Row,
        Action::Point,
        Action::Salute,
        Action::Comb,
    ];

    pub fn words(self) -> Words {
        let words = |doing: &'static [&'static str], plain: &'static [&'static str]| Words { doing, plain };
        match self {
            Action::Walk => words(&["walking", "strolling", "taking a walk"], &["walk", "stroll", "take a walk"]),
            Action::Run => words(&["running", "jogging", "racing"], &["run", "jog", "race"]),
            Action::Jump => words(&["jumping", "leaping into the air"], &["jump", "leap into the air"]),
            Action::Hop => words(&["hopping on one leg"], &["hop on one leg"]),
            Action::Crawl => {
                words(&["crawling on hands and knees", "crawling"], &["crawl on hands and knees", "crawl"])
            }
            Action::Sneak => words(&["sneaking", "creeping"], &["sneak", "creep"]),
            Action::Wave => words(&["waving", "waving a hand", "greeting"], &["wave", "wave a hand", "greet"]),
            Action::Clap => words(&["clapping", "clapping hands", "applauding"], &["clap", "clap hands", "applaud"]),
            Action::Throw => words(&["throwing a ball", "tossing a ball"], &["throw a ball", "toss a ball"]),
            Action::Catch => words(&["catching a ball"], &["catch a ball"]),
            Action::Dribble => words(&["dribbling a ball", "bouncing a ball"], &["dribble a ball", "bounce a ball"]),
            Action::Kick => words(&["kicking a ball", "shooting a goal"], &["kick a ball", "shoot a goal"]),
            Action::Punch => words(&["punching", "boxing"], &["punch", "box"]),
            Action::Stab => {
                words(&["thrusting a stick", "stabbing with a stick"], &["thrust a stick", "stab with a stick"])
            }
            Action::Slash => {
                words(&["swinging a stick", "striking with a stick"], &["swing a stick", "strike with a stick"])
            }
            Action::Golf => words(&["swinging a club", "playing golf"], &["swing a club", "play golf"]),
            Action::Shoot => words(&["shooting a bow", "drawing a bow"], &["shoot a bow", "draw a bow"]),
            Action::Pour => words(&["pouring from a jug", "pouring water"], &["pour from a jug", "pour water"]),
            Action::Drink => words(&["drinking", "drinking from a cup"], &["drink", "drink from a cup"]),
            Action::Eat => words(&["eating"], &["eat"]),
            Action::Sit => words(&["sitting down", "sitting down on a chair"], &["sit down", "sit down on a chair"]),
            Action::Stand => {
                words(&["standing up", "standing up from a chair"], &["stand up", "stand up from a chair"])
            }
            Action::PickUp => {
                words(&["picking up a box", "picking something up"], &["pick up a box", "pick something up"])
            }
            Action::PutDown => {
                words(&["putting down a box", "putting something down"], &["put down a box", "put something down"])
            }
            Action::LiftOverhead => {
                words(&["lifting a barbell", "lifting weights"], &["lift a barbell", "lift weights"])
            }
            Action::Lower => words(&["lowering a barbell"], &["lower a barbell"]),
            Action::Squat => words(&["squatting", "doing squats"], &["squat", "do squats"]),
            Action::PushUp => words(&["doing push-ups"], &["do push-ups"]),
            Action::SitUp => words(&["doing sit-ups"], &["do sit-ups"]),
            Action::PullUp => words(&["doing pull-ups", "pulling up on a bar"], &["do pull-ups", "pull up on a bar"]),
            Action::StarJump => {
                words(&["doing star jumps", "doing jumping jacks"], &["do star jumps", "do jumping jacks"])
            }
            Action::RaiseArms => {
                words(&["raising both arms", "lifting both arms"], &["raise both arms", "lift both arms"])
            }
            Action::LowerArms => words(&["lowering both arms"], &["lower both arms"]),
            Action::FallDown => words(&["falling down", "collapsing"], &["fall down", "collapse"]),
            Action::GetUp => words(&["getting up from the floor", "getting up"], &["get up from the floor", "get up"]),
            Action::Cartwheel => words(&["turning a cartwheel"], &["turn a cartwheel"]),
            Action::TurnAround => words(&["turning around", "spinning around"], &["turn around", "spin around"]),
            Action::Bow => words(&["bowing", "bending forward"], &["bow", "bend forward"]),
            Action::Stretch => {
                words(&["stretching to the side", "bending to the side"], &["stretch to the side", "bend to the side"])
            }
            Action::Dance => words(&["dancing"], &["dance"]),
            Action::ClimbUp => words(&["climbing up a ladder", "climbing up"], &["climb up a ladder", "climb up"]),
            Action::ClimbDown => {
                words(&["climbing down a ladder", "climbing down"], &["climb down a ladder", "climb down"])
            }
            Action::Push => words(&["pushing a crate", "shoving a crate"], &["push a crate", "shove a crate"]),
            Action::Pull => words(&["pulling a crate", "dragging a crate"], &["pull a crate", "drag a crate"]),
            Action::Row => words(&["rowing", "paddling"], &["row", "paddle"]),
            Action::Point => words(&["pointing", "pointing at something"], &["point", "point at something"]),
            Action::Salute => words(&["saluting"], &["salute"]),
            Action::Comb => words(&["brushing hair", "combing hair"], &["brush hair", "comb hair"]),
        }
    }

    /// The action that this one is with time reversed, where that has a name.
    pub fn reverse(self) -> Option<Action> {
        let pairs = [
            (Action::Sit, Action::Stand),
            (Action::PickUp, Action::PutDown),
            (Action::LiftOverhead, Action::Lower),
            (Action::RaiseArms, Action::LowerArms),
            (Action::FallDown, Action::GetUp),
            (Action::ClimbUp, Action::ClimbDown),
        ];
        pairs.iter().find_map(|&(a, b)| if a == self { Some(b) } else { (b == self).then_some(a) })
    }

    /// Whether the action is the other of its pair, played backwards.
    pub fn backwards(self) -> bool {
        matches!(
            self,
            Action::Stand | Action::PutDown | Action::Lower | Action::LowerArms | Action::GetUp | Action::ClimbDown
        )
    }

    /// Whether the body goes somewhere.
    pub fn travels(self) -> bool {
        self.script().way != 0.0
    }
}
