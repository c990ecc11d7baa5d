//! A jointed body: directions of its limbs, and where its joints are seen.
//!
//! The body has three axes: forward, to its left, and up. Limbs are given by their directions, not by the bend of each
//! joint, so a key pose can be read by itself. The feet, or whatever is lowest, stand on the ground.

/// The direction of a limb, in degrees. (0, 0) hangs down, (90, 0) points forward, (180, 0) up, (0, 90) to the side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Direction {
    pub forward: f32,
    pub aside: f32,
}

impl Direction {
    /// As a vector along (forward, left, up); `side` is 1 for a left limb and -1 for a right one.
    fn vector(self, side: f32) -> Point3 {
        let (sin, cos) = self.forward.to_radians().sin_cos();
        let (out, down) = self.aside.to_radians().sin_cos();
        [sin * down, side * out, -cos * down]
    }

    fn between(self, other: Self, share: f32) -> Self {
        let at = |a: f32, b: f32| a + (b - a) * share;
        Self { forward: at(self.forward, other.forward), aside: at(self.aside, other.aside) }
    }
}

/// An arm or a leg: the part at the trunk, and the part beyond elbow or knee.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limb {
    pub upper: Direction,
    pub lower: Direction,
}

/// A limb from two directions, each (forward, aside) in degrees.
pub const fn limb(upper: (f32, f32), lower: (f32, f32)) -> Limb {
    Limb {
        upper: Direction { forward: upper.0, aside: upper.1 },
        lower: Direction { forward: lower.0, aside: lower.1 },
    }
}

/// How a body holds itself. Left limbs come first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// Height of the lowest point above the ground, in body heights.
    pub rise: f32,
    /// Way along the direction of travel, in body heights.
    pub way: f32,
    /// Turn of the whole body forwards (90 lies on its face), in degrees.
    pub pitch: f32,
    /// Turn of the whole body to its left, in degrees.
    pub roll: f32,
    /// Turn about the upright axis, in degrees.
    pub turn: f32,
    /// Bend of the trunk forwards and to its left, in degrees.
    pub lean: f32,
    pub tilt: f32,
    pub arms: [Limb; 2],
    pub legs: [Limb; 2],
}

/// Upright, arms hanging.
pub const STAND: Pose = Pose {
    rise: 0.0,
    way: 0.0,
    pitch: 0.0,
    roll: 0.0,
    turn: 0.0,
    lean: 0.0,
    tilt: 0.0,
    arms: [limb((0.0, 12.0), (8.0, 8.0)); 2],
    legs: [limb((0.0, 5.0), (0.0, 4.0)); 2],
};

impl Pose {
    /// With the left and the right arm in these directions.
    pub const fn arms(mut self, left: Limb, right: Limb) -> Self {
        self.arms = [left, right];
        self
    }

    /// With both arms alike.
    pub const fn both_arms(self, arm: Limb) -> Self {
        self.arms(arm, arm)
    }

    /// With the left and the right leg in these directions.
    pub const fn legs(mut self, left: Limb, right: Limb) -> Self {
        self.legs = [left, right];
        self
    }

    /// With both legs alike.
    pub const fn both_legs(self, leg: Limb) -> Self {
        self.legs(leg, leg)
    }

    pub const fn lean(mut self, lean: f32) -> Self {
        self.lean = lean;
        self
    }

    pub const fn tilt(mut self, tilt: f32) -> Self {
        self.tilt = tilt;
        self
    }

    pub const fn rise(mut self, rise: f32) -> Self {
        self.rise = rise;
        self
    }

    pub const fn way(mut self, way: f32) -> Self {
        self.way = way;
        self
    }

    pub const fn pitch(mut self, pitch: f32) -> Self {
        self.pitch = pitch;
        self
    }

    pub const fn roll(mut self, roll: f32) -> Self {
        self.roll = roll;
        self
    }

    pub const fn turn(mut self, turn: f32) -> Self {
        self.turn = turn;
        self
    }

    /// Left and right exchanged.
    pub fn mirrored(mut self) -> Self {
        self.arms.swap(0, 1);
        self.legs.swap(0, 1);
        Self { roll: -self.roll, turn: -self.turn, tilt: -self.tilt, ..self }
    }

    /// `share` of the way to `other`.
    pub fn between(&self, other: &Self, share: f32) -> Self {
        let at = |a: f32, b: f32| a + (b - a) * share;
        let limbs = |a: [Limb; 2], b: [Limb; 2]| {
            [0, 1].map(|i| Limb {
                upper: a[i].upper.between(b[i].upper, share),
                lower: a[i].lower.between(b[i].lower, share),
            })
        };
        Self {
            rise: at(self.rise, other.rise),
            way: at(self.way, other.way),
            pitch: at(self.pitch, other.pitch),
            roll: at(self.roll, other.roll),
            turn: at(self.turn, other.turn),
            lean: at(self.lean, other.lean),
            tilt: at(self.tilt, other.tilt),
            arms: limbs(self.arms, other.arms),
            legs: limbs(self.legs, other.legs),
        }
    }
}

/// Lengths of the parts, in body heights.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    pub thigh: f32,
    pub trunk: f32,
    pub arm: f32,
    pub head: f32,
    pub shoulders: f32,
    pub hips: f32,
}

/// Forward, left, up.
type Point3 = [f32; 3];

/// A joint as it is seen: right, down, and towards the viewer, in body heights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    pub x: f32,
    pub y: f32,
    pub near: f32,
}

/// All joints as they are seen, from the point on the ground below the hips. Left ones come first.
#[derive(Clone, Copy, Debug)]
pub struct Joints {
    pub pelvis: Seen,
    pub neck: Seen,
    pub head: Seen,
    pub shoulders: [Seen; 2],
    pub elbows: [Seen; 2],
    pub hands: [Seen; 2],
    pub hips: [Seen; 2],
    pub knees: [Seen; 2],
    pub feet: [Seen; 2],
}

const SIDES: [f32; 2] = [1.0, -1.0];

fn add(a: Point3, b: Point3, length: f32) -> Point3 {
    std::array::from_fn(|i| a[i] + b[i] * length)
}

/// Joints of `pose`. `facing` is the direction in which the body looks, in degrees: 0 to the viewer's right, 90 towards
/// the viewer, 180 to the left.
pub fn joints(pose: &Pose, build: &Build, facing: f32) -> Joints {
    let spine = {
        let (lean, upright) = pose.lean.to_radians().sin_cos();
        let (tilt, straight) = pose.tilt.to_radians().sin_cos();
        [lean * straight, tilt, upright * straight]
    };
    let pelvis = [0.0; 3];
    let neck = add(pelvis, spine, build.trunk);
    let head = add(neck, spine, build.head * 1.25);
    let at = |i: usize, centre: Point3, half: f32| add(centre, [0.0, 1.0, 0.0], SIDES[i] * half);
    let shoulders = [0, 1].map(|i| at(i, add(neck, spine, -0.03), build.shoulders));
    let elbows = [0, 1].map(|i| add(shoulders[i], pose.arms[i].upper.vector(SIDES[i]), build.arm));
    let hands = [0, 1].map(|i| add(elbows[i], pose.arms[i].lower.vector(SIDES[i]), build.arm));
    let hips = [0, 1].map(|i| at(i, pelvis, build.hips));
    let knees = [0, 1].map(|i| add(hips[i], pose.legs[i].upper.vector(SIDES[i]), build.thigh));
    let feet = [0, 1].map(|i| add(knees[i], pose.legs[i].lower.vector(SIDES[i]), build.thigh));

    // The whole body turned forwards, then to its left.
    let (pitch, level) = pose.pitch.to_radians().sin_cos();
    let (roll, upright) = pose.roll.to_radians().sin_cos();
    let turned = |[f, l, u]: Point3| {
        let (f, u) = (f * level + u * pitch, u * level - f * pitch);
        [f, l * upright + u * roll, u * upright - l * roll]
    };
    let all = [pelvis, neck, head].into_iter().chain(elbows).chain(hands).chain(knees).chain(feet);
    let lowest = all.map(|point| turned(point)[2]).fold(f32::MAX, f32::min);
    let height = pose.rise - lowest;

    let (sin, cos) = (facing + pose.turn).to_radians().sin_cos();
    let seen = |point: Point3| {
        let [f, l, u] = turned(point);
        Seen { x: f * cos + l * sin, y: -(u + height), near: f * sin - l * cos }
    };
    Joints {
        pelvis: seen(pelvis),
        neck: seen(neck),
        head: seen(head),
        shoulders: shoulders.map(seen),
        elbows: elbows.map(seen),
        hands: hands.map(seen),
        hips: hips.map(seen),
        knees: knees.map(seen),
        feet: feet.map(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: Build = Build { thigh: 0.24, trunk: 0.3, arm: 0.16, head: 0.07, shoulders: 0.1, hips: 0.05 };

    #[test]
    fn shapes_in_motion_a_body_stands_on_the_ground_and_turns() {
        let side = joints(&STAND, &BUILD, 0.0);
        assert!(side.feet.iter().all(|foot| foot.y.abs() < 1e-3), "{side:?}");
        assert!((side.shoulders[0].x - side.shoulders[1].x).abs() < 1e-6);
        // Facing right, the left shoulder is the far one; facing the viewer, it is on the viewer's right.
        assert!(side.shoulders[0].near < side.shoulders[1].near);
        let front = joints(&STAND, &BUILD, 90.0);
        assert!(front.shoulders[0].x > front.shoulders[1].x + 0.19);
        let pointing = STAND.both_arms(limb((90.0, 0.0), (90.0, 0.0)));
        assert!(joints(&pointing, &BUILD, 0.0).hands[0].x > 0.3);
        assert!(joints(&pointing, &BUILD, 180.0).hands[0].x < -0.3);
        let lying = joints(&STAND.pitch(90.0), &BUILD, 0.0);
        assert!(lying.head.x > 0.3 && lying.head.y > -0.2, "{lying:?}");
        let squat = joints(&STAND.both_legs(limb((90.0, 0.0), (0.0, 0.0))), &BUILD, 0.0);
        assert!((squat.pelvis.y + 0.24).abs() < 1e-3, "{squat:?}");
    }
}
