//! How actions go: key poses over time, and what they need.

use super::actions::{Action, Facing};
use super::body::{Limb, Pose, STAND, limb};
use super::props::{Flight, Held, Prop};

/// An action over time.
pub struct Script {
    /// Key poses at times of 0..=1, in order.
    pub keys: Vec<(f32, Pose)>,
    /// How often the keys are run through in a clip: fewest and most. (1, 1) is done once, others again and again.
    pub cycles: (f32, f32),
    /// Way in a cycle, in body heights, in the direction in which the body looks; negative is backwards.
    pub way: f32,
    pub prop: Option<Prop>,
    pub facings: &'static [Facing],
}

const SIDEWAYS: &[Facing] = &[Facing::Left, Facing::Right];
const ANY: &[Facing] = &Facing::ALL;
const FRONT: &[Facing] = &[Facing::Towards, Facing::Left, Facing::Right];
const FRONT_OR_BACK: &[Facing] = &[Facing::Towards, Facing::Away];

/// Arms at rest.
const HANG: Limb = limb((0.0, 12.0), (8.0, 8.0));
const STRAIGHT: Limb = limb((0.0, 5.0), (0.0, 4.0));

impl Action {
    /// Key poses and all that belongs to them.
    pub fn script(self) -> Script {
        if self.backwards() {
            let forward = self.reverse().expect("an action played backwards has its other").script();
            let keys = forward.keys.iter().rev().map(|&(time, pose)| (1.0 - time, pose)).collect();
            let prop = match forward.prop {
                Some(Prop::Box(Held::AtLast)) => Some(Prop::Box(Held::AtFirst)),
                other => other,
            };
            return Script { keys, prop, ..forward };
        }
        let again = |keys: Vec<Pose>, cycles: (f32, f32), way: f32, facings: &'static [Facing]| {
            let count = keys.len() as f32;
            let first = keys[0];
            let timed = keys.into_iter().enumerate().map(|(i, pose)| (i as f32 / count, pose));
            Script { keys: timed.chain([(1.0, first)]).collect(), cycles, way, prop: None, facings }
        };
        let once = |keys: Vec<(f32, Pose)>, prop: Option<Prop>, facings: &'static [Facing]| Script {
            keys,
            cycles: (1.0, 1.0),
            way: 0.0,
            prop,
            facings,
        };
        // A step, and the same with left and right exchanged.
        let steps = |a: Pose, b: Pose| vec![a, b, a.mirrored(), b.mirrored()];
        let up = limb((175.0, 8.0), (178.0, 4.0));
        let crouch = STAND.both_legs(limb((75.0, 6.0), (-45.0, 5.0))).lean(28.0);
        match self {
            Action::Walk => {
                let stride = STAND
                    .legs(limb((26.0, 2.0), (16.0, 2.0)), limb((-20.0, 2.0), (-42.0, 2.0)))
                    .arms(limb((-24.0, 8.0), (-8.0, 6.0)), limb((26.0, 8.0), (44.0, 6.0)));
                let pass = STAND.legs(limb((0.0, 2.0), (-4.0, 2.0)), limb((18.0, 2.0), (-48.0, 2.0)));
                again(steps(stride, pass), (1.6, 2.6), 0.55, ANY)
            }
            Action::Run => {
                let stride = STAND
                    .legs(limb((58.0, 2.0), (12.0, 2.0)), limb((-28.0, 2.0), (-88.0, 2.0)))
                    .arms(limb((-52.0, 10.0), (28.0, 8.0)), limb((44.0, 10.0), (128.0, 8.0)))
                    .lean(14.0)
                    .rise(0.04);
                let pass = STAND
                    .legs(limb((6.0, 2.0), (-18.0, 2.0)), limb((34.0, 2.0), (-80.0, 2.0)))
                    .both_arms(limb((0.0, 12.0), (85.0, 8.0)))
                    .lean(12.0);
                again(steps(stride, pass), (2.4, 3.6), 0.95, ANY)
            }
            Action::Jump => {
                let air = STAND.both_arms(limb((150.0, 15.0), (165.0, 8.0))).both_legs(limb((14.0, 6.0), (-24.0, 5.0)));
                let ready = crouch.both_arms(limb((-40.0, 10.0), (-20.0, 8.0)));
                again(vec![STAND, ready, air.rise(0.26), air.rise(0.3), ready], (1.2, 2.2), 0.0, ANY)
            }
            Action::Hop => {
                let raised = limb((48.0, 4.0), (-60.0, 4.0));
                let arms = limb((20.0, 40.0), (40.0, 30.0));
                let low = STAND.legs(limb((28.0, 2.0), (-26.0, 2.0)), raised).both_arms(arms).lean(8.0);
                let high = STAND.legs(STRAIGHT, raised).both_arms(limb((50.0, 55.0), (70.0, 40.0))).rise(0.13);
                again(vec![low, high], (2.6, 4.0), 0.22, FRONT)
            }
            Action::Crawl => {
                let knees = |left: f32, right: f32| {
                    STAND
                        .pitch(82.0)
                        .both_legs(STRAIGHT)
                        .legs(limb((82.0 + left, 6.0), (-2.0, 4.0)), limb((82.0 + right, 6.0), (-2.0, 4.0)))
                        .arms(
                            limb((84.0 + right, 6.0), (82.0 + right, 4.0)),
                            limb((84.0 + left, 6.0), (82.0 + left, 4.0)),
                        )
                };
                again(
                    vec![knees(16.0, -16.0), knees(0.0, 0.0), knees(-16.0, 16.0), knees(0.0, 0.0)],
                    (1.6, 2.6),
                    0.3,
                    SIDEWAYS,
                )
            }
            Action::Sneak => {
                let arms = limb((48.0, 14.0), (100.0, 4.0));
                let stride = STAND
                    .legs(limb((48.0, 2.0), (-6.0, 2.0)), limb((8.0, 2.0), (-56.0, 2.0)))
                    .both_arms(arms)
                    .lean(34.0);
                let pass = STAND
                    .legs(limb((36.0, 2.0), (-34.0, 2.0)), limb((64.0, 2.0), (-44.0, 2.0)))
                    .both_arms(arms)
                    .lean(30.0);
                again(steps(stride, pass), (1.2, 2.0), 0.38, SIDEWAYS)
            }
            Action::Wave => {
                let at = |aside: f32| STAND.arms(HANG, limb((10.0, 105.0), (6.0, aside)));
                again(vec![at(140.0), at(200.0)], (2.0, 4.0), 0.0, ANY)
            }
            Action::Clap => {
                let open = STAND.both_arms(limb((42.0, 34.0), (88.0, 26.0)));
                let shut = STAND.both_arms(limb((44.0, 12.0), (92.0, -32.0)));
                again(vec![open, shut], (2.6, 4.5), 0.0, FRONT)
            }
            Action::Throw => {
                let back = STAND
                    .arms(limb((70.0, 20.0), (85.0, 10.0)), limb((-130.0, 35.0), (-195.0, 20.0)))
                    .legs(limb((18.0, 3.0), (8.0, 3.0)), limb((-18.0, 3.0), (-24.0, 3.0)))
                    .lean(-12.0);
                let over = back.arms(limb((40.0, 20.0), (60.0, 10.0)), limb((-205.0, 12.0), (-230.0, 6.0))).lean(6.0);
                let after = back.arms(limb((-15.0, 20.0), (10.0, 10.0)), limb((-310.0, 8.0), (-318.0, 4.0))).lean(26.0);
                let keys = vec![
                    (0.0, STAND),
                    (0.3, back),
                    (0.42, over),
                    (0.56, after),
                    (1.0, STAND.arms(HANG, limb((-360.0, 12.0), (-352.0, 8.0)))),
                ];
                once(keys, Some(Prop::Ball(Flight::Thrown)), FRONT)
            }
            Action::Catch => {
                let reach = STAND.both_arms(limb((88.0, 10.0), (98.0, 4.0))).lean(8.0);
                let hold = STAND.both_arms(limb((28.0, 10.0), (96.0, -10.0)));
                let keys = vec![(0.0, STAND), (0.35, reach), (0.52, reach), (0.75, hold), (1.0, hold)];
                once(keys, Some(Prop::Ball(Flight::Caught)), FRONT)
            }
            Action::Dribble => {
                let low = STAND.arms(limb((10.0, 20.0), (30.0, 12.0)), limb((26.0, 12.0), (48.0, 6.0))).lean(14.0);
                let high = STAND.arms(limb((10.0, 20.0), (30.0, 12.0)), limb((22.0, 12.0), (94.0, 6.0))).lean(8.0);
                let script = again(vec![high, low], (2.2, 3.8), 0.0, FRONT);
                Script { prop: Some(Prop::Ball(Flight::Dribbled)), ..script }
            }
            Action::Kick => {
                let back = STAND
                    .legs(limb((10.0, 3.0), (4.0, 3.0)), limb((-38.0, 3.0), (-104.0, 3.0)))
                    .arms(limb((50.0, 40.0), (60.0, 30.0)), limb((-40.0, 40.0), (-30.0, 30.0)))
                    .lean(10.0);
                let through = STAND
                    .legs(limb((0.0, 3.0), (-6.0, 3.0)), limb((72.0, 3.0), (64.0, 3.0)))
                    .arms(limb((-40.0, 40.0), (-30.0, 30.0)), limb((50.0, 40.0), (60.0, 30.0)))
                    .lean(-14.0);
                let keys = vec![(0.0, STAND), (0.34, back), (0.5, through), (0.62, through), (1.0, STAND)];
                once(keys, Some(Prop::Ball(Flight::Kicked)), FRONT)
            }
            Action::Punch => {
                let guard = limb((34.0, 14.0), (138.0, 2.0));
                let hit = limb((92.0, 2.0), (94.0, 0.0));
                let base = STAND.legs(limb((22.0, 4.0), (-2.0, 4.0)), limb((-14.0, 4.0), (-28.0, 4.0))).lean(8.0);
                let keys =
                    vec![base.both_arms(guard), base.arms(hit, guard), base.both_arms(guard), base.arms(guard, hit)];
                again(keys, (1.6, 2.8), 0.0, FRONT)
            }
            Action::Stab => {
                let back = STAND.arms(limb((40.0, 20.0), (80.0, 6.0)), limb((-38.0, 12.0), (84.0, 2.0)));
                let out = STAND
                    .arms(limb((-20.0, 26.0), (0.0, 16.0)), limb((86.0, 2.0), (88.0, 0.0)))
                    .legs(limb((-20.0, 4.0), (-26.0, 4.0)), limb((44.0, 4.0), (-2.0, 4.0)))
                    .lean(14.0);
                let script = again(vec![back, out], (1.6, 2.6), 0.0, ANY);
                Script { prop: Some(Prop::Stick), ..script }
            }
            Action::Slash => {
                let high = STAND.arms(limb((20.0, 24.0), (50.0, 10.0)), limb((150.0, 22.0), (196.0, 12.0))).lean(-4.0);
                let middle = STAND.arms(limb((0.0, 28.0), (30.0, 16.0)), limb((84.0, 8.0), (100.0, 2.0))).lean(10.0);
                let low = STAND.arms(limb((-20.0, 30.0), (0.0, 20.0)), limb((22.0, -8.0), (30.0, -20.0))).lean(20.0);
                let script = again(vec![high, middle, low, low, middle], (1.3, 2.2), 0.0, ANY);
                Script { prop: Some(Prop::Stick), ..script }
            }
            Action::Golf => {
                let base = STAND.both_legs(limb((14.0, 9.0), (-10.0, 8.0))).lean(28.0);
                let ball = base.both_arms(limb((26.0, -14.0), (30.0, -12.0)));
                let back =
                    base.arms(limb((60.0, -60.0), (120.0, -70.0)), limb((30.0, 62.0), (120.0, 80.0))).turn(-20.0);
                let through = base
                    .arms(limb((40.0, 66.0), (130.0, 80.0)), limb((60.0, -60.0), (130.0, -66.0)))
                    .turn(24.0)
                    .lean(8.0);
                let keys = vec![(0.0, ball), (0.38, back), (0.5, ball), (0.66, through), (1.0, through)];
                once(keys, Some(Prop::Club), FRONT_OR_BACK)
            }
            Action::Shoot => {
                let aim = |draw: f32| {
                    STAND.arms(
                        limb((88.0, 0.0), (90.0, 0.0)),
                        limb((88.0 - 60.0 * draw, 20.0 * draw), (90.0 + 12.0 * draw, 0.0)),
                    )
                };
                let keys = vec![
                    (0.0, STAND),
                    (0.2, aim(0.1)),
                    (0.55, aim(1.6)),
                    (0.66, aim(1.6)),
                    (0.7, aim(1.9)),
                    (1.0, aim(1.2)),
                ];
                once(keys, Some(Prop::Bow), ANY)
            }
            Action::Pour => {
                let hold = STAND.arms(limb((24.0, 12.0), (80.0, -6.0)), limb((40.0, 20.0), (98.0, 8.0)));
                let tip = STAND.arms(limb((24.0, 12.0), (80.0, -6.0)), limb((64.0, 34.0), (128.0, 10.0))).lean(8.0);
                once(vec![(0.0, hold), (0.35, tip), (0.8, tip), (1.0, hold)], Some(Prop::Jug), FRONT)
            }
            Action::Drink => {
                let hold = STAND.arms(HANG, limb((16.0, 14.0), (84.0, 6.0)));
                let sip = STAND.arms(HANG, limb((58.0, 24.0), (162.0, -24.0))).lean(-8.0);
                once(vec![(0.0, hold), (0.32, sip), (0.72, sip), (1.0, hold)], Some(Prop::Cup), FRONT)
            }
            Action::Eat => {
                let low = STAND.both_arms(limb((10.0, 12.0), (78.0, -8.0)));
                let bite = low.arms(limb((10.0, 12.0), (78.0, -8.0)), limb((42.0, 18.0), (158.0, -30.0))).lean(6.0);
                again(vec![low, bite], (1.6, 2.8), 0.0, FRONT)
            }
            Action::Sit => {
                let seated = STAND.both_legs(limb((88.0, 5.0), (0.0, 4.0))).both_arms(limb((18.0, 10.0), (62.0, 4.0)));
                let bend = STAND
                    .both_legs(limb((52.0, 5.0), (-18.0, 4.0)))
                    .both_arms(limb((40.0, 12.0), (64.0, 8.0)))
                    .lean(38.0);
                once(vec![(0.0, STAND), (0.5, bend), (0.82, seated), (1.0, seated)], Some(Prop::Chair), FRONT)
            }
            Action::PickUp => {
                let down = STAND
                    .both_legs(limb((96.0, 7.0), (-34.0, 6.0)))
                    .both_arms(limb((46.0, 4.0), (36.0, -2.0)))
                    .lean(52.0);
                let held = STAND.both_arms(limb((20.0, 8.0), (86.0, -6.0)));
                let ready = STAND.both_arms(limb((20.0, 10.0), (30.0, 6.0)));
                let keys = vec![(0.0, ready), (0.36, down), (0.48, down), (0.85, held), (1.0, held)];
                once(keys, Some(Prop::Box(Held::AtLast)), FRONT)
            }
            Action::LiftOverhead => {
                let down = STAND
                    .both_legs(limb((88.0, 12.0), (-36.0, 9.0)))
                    .both_arms(limb((36.0, 16.0), (26.0, 12.0)))
                    .lean(50.0);
                let chest = STAND.both_arms(limb((20.0, 18.0), (150.0, 6.0)));
                let keys = vec![
                    (0.0, down),
                    (0.12, down),
                    (0.5, chest),
                    (0.62, chest),
                    (0.9, STAND.both_arms(up)),
                    (1.0, STAND.both_arms(up)),
                ];
                once(keys, Some(Prop::Barbell), FRONT)
            }
            Action::Squat => {
                let arms = limb((86.0, 6.0), (88.0, 2.0));
                let low = STAND.both_legs(limb((100.0, 10.0), (-30.0, 8.0))).both_arms(arms).lean(30.0);
                again(vec![STAND.both_arms(limb((50.0, 8.0), (60.0, 4.0))), low], (1.4, 2.6), 0.0, FRONT)
            }
            Action::PushUp => {
                let plank =
                    |arm: Limb, pitch: f32| STAND.pitch(pitch).both_legs(limb((0.0, 3.0), (0.0, 3.0))).both_arms(arm);
                let high = plank(limb((76.0, 6.0), (76.0, 4.0)), 68.0);
                let low = plank(limb((-26.0, 16.0), (88.0, 8.0)), 84.0);
                again(vec![high, low], (1.6, 3.0), 0.0, SIDEWAYS)
            }
            Action::SitUp => {
                let legs = limb((128.0, 4.0), (48.0, 3.0));
                let arms = limb((100.0, 26.0), (220.0, 20.0));
                let flat = STAND.pitch(-86.0).both_legs(legs).both_arms(arms);
                let raised =
                    STAND.pitch(-86.0).both_legs(legs).both_arms(limb((150.0, 20.0), (240.0, 16.0))).lean(64.0);
                again(vec![flat, raised], (1.4, 2.4), 0.0, SIDEWAYS)
            }
            Action::PullUp => {
                let hang = STAND
                    .both_arms(limb((176.0, 14.0), (178.0, 6.0)))
                    .both_legs(limb((6.0, 3.0), (-34.0, 3.0)))
                    .rise(0.06);
                let pulled = STAND
                    .both_arms(limb((60.0, 40.0), (176.0, -14.0)))
                    .both_legs(limb((10.0, 3.0), (-46.0, 3.0)))
                    .rise(0.27);
                let script = again(vec![hang, pulled], (1.4, 2.6), 0.0, ANY);
                Script { prop: Some(Prop::Bar), ..script }
            }
            Action::StarJump => {
                let shut = STAND.both_arms(limb((0.0, 14.0), (4.0, 10.0)));
                let star = STAND
                    .both_arms(limb((0.0, 140.0), (0.0, 150.0)))
                    .both_legs(limb((0.0, 28.0), (0.0, 26.0)))
                    .rise(0.06);
                again(vec![shut, star], (2.0, 3.4), 0.0, FRONT_OR_BACK)
            }
            Action::RaiseArms => {
                let wide = STAND.both_arms(limb((40.0, 60.0), (60.0, 60.0)));
                let high = STAND.both_arms(limb((150.0, 26.0), (168.0, 14.0)));
                once(vec![(0.0, STAND), (0.4, wide), (0.75, high), (1.0, high)], None, ANY)
            }
            Action::FallDown => {
                let knees = STAND
                    .both_legs(limb((26.0, 5.0), (-88.0, 4.0)))
                    .both_arms(limb((40.0, 24.0), (60.0, 10.0)))
                    .lean(22.0);
                let flat = STAND.pitch(86.0).both_arms(limb((140.0, 20.0), (168.0, 12.0)));
                once(vec![(0.0, STAND), (0.12, STAND), (0.45, knees), (0.8, flat), (1.0, flat)], None, ANY)
            }
            Action::Cartwheel => {
                let star = |roll: f32, way: f32| {
                    STAND
                        .both_arms(limb((0.0, 148.0), (0.0, 156.0)))
                        .both_legs(limb((0.0, 34.0), (0.0, 34.0)))
                        .roll(roll)
                        .way(way)
                };
                let keys = vec![
                    (0.0, star(0.0, 0.0)),
                    (0.2, star(25.0, 0.1)),
                    (0.5, star(180.0, 0.5)),
                    (0.8, star(335.0, 0.9)),
                    (1.0, star(360.0, 1.0)),
                ];
                once(keys, None, FRONT_OR_BACK)
            }
            Action::TurnAround => {
                let at = |turn: f32| STAND.both_arms(limb((6.0, 36.0), (14.0, 30.0))).turn(turn);
                again((0..8).map(|i| at(45.0 * i as f32)).collect(), (1.0, 2.0), 0.0, ANY)
            }
            Action::Bow => {
                let low = STAND.both_arms(limb((20.0, 8.0), (30.0, 4.0))).lean(78.0);
                once(vec![(0.0, STAND), (0.42, low), (0.6, low), (1.0, STAND)], None, FRONT)
            }
            Action::Stretch => {
                let left = STAND.arms(limb((0.0, 20.0), (0.0, 30.0)), limb((0.0, 165.0), (0.0, 215.0))).tilt(30.0);
                again(vec![STAND, left, STAND, left.mirrored()], (1.0, 2.0), 0.0, FRONT_OR_BACK)
            }
            Action::Dance => {
                let left = STAND
                    .arms(limb((0.0, 100.0), (0.0, 170.0)), limb((0.0, 70.0), (0.0, 20.0)))
                    .legs(limb((0.0, 20.0), (0.0, 2.0)), limb((30.0, 12.0), (-34.0, 0.0)))
                    .tilt(10.0);
                let bounce =
                    STAND.both_arms(limb((20.0, 70.0), (60.0, 80.0))).both_legs(limb((26.0, 8.0), (-20.0, 6.0)));
                again(vec![left, bounce, left.mirrored(), bounce], (1.6, 2.8), 0.0, FRONT_OR_BACK)
            }
            Action::ClimbUp => {
                let reach = |rise: f32| {
                    STAND
                        .arms(limb((164.0, 8.0), (168.0, 4.0)), limb((96.0, 14.0), (150.0, 4.0)))
                        .legs(limb((10.0, 6.0), (-12.0, 5.0)), limb((88.0, 6.0), (-16.0, 5.0)))
                        .rise(rise)
                };
                let other = |rise: f32| reach(rise).mirrored();
                let keys = vec![
                    (0.0, reach(0.0)),
                    (0.25, other(0.1)),
                    (0.5, reach(0.2)),
                    (0.75, other(0.3)),
                    (1.0, reach(0.4)),
                ];
                once(keys, Some(Prop::Ladder), &[Facing::Away, Facing::Left, Facing::Right])
            }
            Action::Push | Action::Pull => {
                let lean = if self == Action::Push { 34.0 } else { -16.0 };
                let arms = limb((82.0, 4.0), (86.0, 0.0));
                let stride = STAND
                    .legs(limb((40.0, 2.0), (4.0, 2.0)), limb((-26.0, 2.0), (-48.0, 2.0)))
                    .both_arms(arms)
                    .lean(lean);
                let pass = STAND
                    .legs(limb((4.0, 2.0), (-14.0, 2.0)), limb((22.0, 2.0), (-44.0, 2.0)))
                    .both_arms(arms)
                    .lean(lean);
                let way = if self == Action::Push { 0.34 } else { -0.34 };
                Script { prop: Some(Prop::Crate), ..again(steps(stride, pass), (1.4, 2.2), way, SIDEWAYS) }
            }
            Action::Row => {
                let legs = limb((84.0, 6.0), (50.0, 4.0));
                let base = STAND.pitch(0.0).both_legs(legs);
                let fore = base.both_arms(limb((74.0, 4.0), (70.0, 0.0))).lean(34.0);
                let back = base.both_arms(limb((-10.0, 14.0), (84.0, 2.0))).lean(-18.0);
                let high = base.both_arms(limb((40.0, 10.0), (100.0, 2.0))).lean(0.0);
                Script { prop: Some(Prop::Oar), ..again(vec![fore, back, high], (1.4, 2.4), 0.0, SIDEWAYS) }
            }
            Action::Point => {
                let out = STAND.arms(HANG, limb((90.0, 4.0), (94.0, 0.0)));
                once(vec![(0.0, STAND), (0.35, out), (0.8, out), (1.0, out)], None, FRONT)
            }
            Action::Salute => {
                let hand = STAND.arms(limb((0.0, 5.0), (0.0, 3.0)), limb((30.0, 78.0), (90.0, 205.0)));
                once(vec![(0.0, STAND), (0.35, hand), (0.75, hand), (1.0, STAND)], None, FRONT)
            }
            Action::Comb => {
                let high = STAND.arms(HANG, limb((70.0, 60.0), (170.0, -20.0)));
                let low = STAND.arms(HANG, limb((44.0, 62.0), (130.0, -36.0)));
                again(vec![high, low], (1.8, 3.2), 0.0, FRONT)
            }
            Action::Stand | Action::PutDown | Action::Lower | Action::LowerArms | Action::GetUp | Action::ClimbDown => {
                unreachable!("actions that are played backwards returned above")
            }
        }
    }
}

impl Script {
    /// The pose at `phase` of 0..=1 within a cycle, with soft starts and ends.
    pub fn pose(&self, phase: f32) -> Pose {
        let next = self.keys.iter().position(|(time, _)| *time >= phase).unwrap_or(self.keys.len() - 1).max(1);
        let ((from, a), (to, b)) = (&self.keys[next - 1], &self.keys[next]);
        let share = ((phase - from) / (to - from)).clamp(0.0, 1.0);
        a.between(b, share * share * (3.0 - 2.0 * share))
    }
}
