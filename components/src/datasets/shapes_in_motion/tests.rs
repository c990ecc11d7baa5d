use super::*;
use crate::datasets::shapes_in_motion::motion::Motion;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

fn dataset(variant: Variant) -> ShapesInMotion {
    ShapesInMotion::new(ShapesInMotionConfig { variant, ..Default::default() })
}

#[test]
fn shapes_in_motion_a_reversed_clip_is_a_clip_of_the_reverse_class() {
    let all: Vec<usize> = (0..16).collect();
    let stream = Stream::new(4, "reverse test");
    let mut directed = 0;
    for (i, class) in classes::combinations(Variant::Motion).iter().enumerate() {
        let at = |motion: Motion| Scene::draw(class.what, motion, &mut stream.at(i as u64)).frames(64, 16, &all);
        let reverse = class.motion.reverse();
        assert_eq!(reverse.reverse(), class.motion);
        if reverse == class.motion {
            assert!(!class.motion.backwards);
            continue;
        }
        directed += 1;
        let mut frames = at(class.motion);
        assert_ne!(frames, at(reverse), "{}", class.name);
        frames.reverse();
        assert_eq!(frames, at(reverse), "{}", class.name);
    }
    assert_eq!(directed, 88);
}

#[test]
fn shapes_in_motion_undirected_motions_look_alike_backwards() {
    // Mean height of a bouncing thing, and so on, cannot tell first from last half: compare over many clips.
    let data = dataset(Variant::Motion);
    for class in data.classes.iter().filter(|c| c.motion.reverse() == c.motion) {
        let mut drift = 0.0;
        for index in 0..60 {
            let frames = data.scene(class, index).frames(64, 16, &[0, 4, 11, 15]);
            let change = |a: usize, b: usize| {
                frames[a].iter().zip(&frames[b]).map(|(x, y)| x.abs_diff(*y) as f64).sum::<f64>()
                    / frames[a].len() as f64
            };
            drift += (change(0, 1) - change(3, 2)) / 60.0;
        }
        assert!(drift.abs() < 4.0, "{} {drift}", class.name);
    }
}

#[test]
fn shapes_in_motion_clips_differ_and_do_not_depend_on_call_order() {
    for variant in [Variant::Motion, Variant::Appearance] {
        let data = dataset(variant);
        let ids: Vec<String> = (Split::ALL.iter())
            .flat_map(|&split| data.list(split).unwrap().classes)
            .flat_map(|class| class.clips.into_iter().step_by(7))
            .collect();
        assert_eq!(ids.len(), 900);
        let open = |id: &String| data.open(id, &[3, 12]).unwrap().images;
        let there: Vec<_> = ids.iter().map(open).collect();
        let mut back: Vec<_> = ids.iter().rev().map(open).collect();
        back.reverse();
        assert_eq!(there, back);
        assert_eq!(there.iter().flatten().collect::<HashSet<_>>().len(), 1800);
        let other = ShapesInMotion::new(ShapesInMotionConfig { variant, seed: 1, ..Default::default() });
        assert_ne!(other.open(&ids[0], &[3]).unwrap().images[0], there[0][0]);
        let whole = data.open(&ids[5], &(0..16).collect::<Vec<_>>()).unwrap();
        assert_eq!([&whole.images[3], &whole.images[12]], [&there[5][0], &there[5][1]]);
    }
}

/// FNV-1a, which is enough to notice a change.
fn add(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

/// Published numbers are those of these pixels, and whoever makes the renderer faster must not change them.
///
/// The sums were taken from the first renderer, which looked at one pixel after the other. Sines and powers come from
/// the system's library, so another system may have another last bit in one of them.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn shapes_in_motion_pixels_stay_what_they_were() {
    for (variant, size, clips, step, expected) in [
        (Variant::Motion, 64, 3, 1, 0xe893_ed03_a96e_12e4),
        (Variant::Motion, 16, 1, 1, 0x863a_3f64_9c90_0269),
        (Variant::Motion, 50, 1, 1, 0xeb1c_12c4_3822_0371),
        (Variant::Motion, 224, 1, 9, 0x7cd9_24d3_1df6_4ce7),
        (Variant::Appearance, 64, 3, 1, 0xc919_8fe2_26ec_28fa),
        (Variant::Appearance, 16, 1, 1, 0xee1a_6608_d373_826f),
        (Variant::Appearance, 50, 1, 1, 0x6d31_8637_870c_e757),
        (Variant::Appearance, 224, 1, 9, 0x53ba_eadf_cf55_a18a),
    ] {
        let data = dataset(variant);
        let scenes = data.classes.iter().step_by(step).flat_map(|class| (0..clips).map(|at| data.scene(class, at)));
        let frames = scenes.flat_map(|scene| scene.frames(size, 16, &[0, 5, 10, 15]));
        let sum = frames.fold(EMPTY, |sum, frame| add(sum, &frame));
        assert_eq!(sum, expected, "{variant:?}, {size} pixels: {sum:#x}");
    }
    let data = dataset(Variant::Motion);
    let captioned = (0..300).map(|index| data.captioned(Split::Train, index).unwrap());
    let sum = captioned.fold(EMPTY, |sum, image| add(sum, &image.pixels));
    assert_eq!(sum, 0xcf51_3184_eeac_bf24, "captioned images: {sum:#x}");
}

#[test]
fn shapes_in_motion_lists_and_opens_by_stable_ids() {
    let data = dataset(Variant::Motion);
    let id = "motion/striped-disc-spinning-counter-clockwise/017";
    assert!(Split::ALL.iter().any(|&s| data.list(s).unwrap().classes.iter().any(|c| c.clips.iter().any(|c| c == id))));
    assert_eq!(data.frame_count(id).unwrap(), 16);
    let frames = data.open(id, &[15, 0, 15]).unwrap();
    assert_eq!((frames.height, frames.width, frames.images.len()), (64, 64, 3));
    assert!(frames.images.iter().all(|image| image.len() == 64 * 64 * 3));
    assert_eq!(frames.images[0], frames.images[2]);
    let bad = ["motion/no-such-thing/000", "motion/two-arrows-colliding/60", "motion/two-arrows-colliding/060", "x"];
    for id in bad {
        assert!(data.open(id, &[0]).unwrap_err().to_string().contains(id), "{id}");
    }
    assert!(data.open(id, &[16]).is_err());
}

#[test]
fn shapes_in_motion_colour_and_place_do_not_identify_a_class() {
    // The mean colour of a middle frame varies far more inside a class than between class means.
    let data = dataset(Variant::Motion);
    let (mut within, mut means) = (0.0, Vec::new());
    for class in &data.classes {
        let clips: Vec<f64> = (0..40)
            .map(|index| {
                let image = &data.scene(class, index).frames(64, 16, &[8])[0];
                image.iter().map(|&x| x as f64).sum::<f64>() / image.len() as f64
            })
            .collect();
        let mean = clips.iter().sum::<f64>() / 40.0;
        within += clips.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 39.0 / 100.0;
        means.push(mean);
    }
    let centre = means.iter().sum::<f64>() / 100.0;
    let between = means.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / 99.0;
    // Means of 40 equal draws would differ by within / 40.
    assert!(between < 3.0 * within / 40.0, "between {between}, within {within}");
}

#[test]
fn shapes_in_motion_captions_stay_inside_their_vocabulary() {
    let data = dataset(Variant::Motion);
    let captions = data.captions().unwrap();
    let words = captions.words();
    assert!(words.is_sorted());
    let known: HashSet<&str> = words.iter().map(String::as_str).collect();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for split in Split::ALL {
        for index in 0..2000 {
            for word in captions.captioned(split, index).unwrap().caption.split(' ') {
                *seen.entry(word.to_string()).or_default() += 1;
            }
        }
    }
    assert!(seen.keys().all(|word| known.contains(word.as_str())), "{seen:?}");
    let unseen: Vec<_> = words.iter().filter(|word| !seen.contains_key(*word)).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
    let verbs: HashSet<String> = [Variant::Motion, Variant::Appearance]
        .into_iter()
        .flat_map(classes::combinations)
        .filter_map(|c| c.motion.text().split(' ').find(|w| w.ends_with("ing")).map(String::from))
        .collect();
    assert_eq!(verbs.len(), 18, "{verbs:?}");
    let adverbs = ["clockwise", "counter-clockwise", "upwards", "downwards", "away", "apart", "over", "towards"];
    assert!(verbs.iter().map(String::as_str).chain(adverbs).all(|word| !known.contains(word)));
    let of = |split| captions.captioned(split, 0).unwrap();
    assert_ne!(of(Split::Train).pixels, of(Split::Val).pixels);
    assert_eq!(of(Split::Test).pixels, of(Split::Test).pixels);
}

/// Contact sheets for the eye: set `SHAPES_SHEETS` to a folder and run the ignored tests.
#[test]
#[ignore = "writes pictures to look at, and prints the speed"]
fn shapes_in_motion_contact_sheets() {
    let folder = PathBuf::from(std::env::var("SHAPES_SHEETS").expect("SHAPES_SHEETS names a folder"));
    let write = |name: String, rows: Vec<Vec<Vec<u8>>>| {
        let (columns, size) = (rows[0].len(), 64);
        let mut bytes = format!("P6 {} {} 255\n", columns * (size + 2), rows.len() * (size + 2)).into_bytes();
        for row in &rows {
            for y in 0..size + 2 {
                for image in row {
                    let line = image.chunks(size * 3).nth(y).map_or(vec![255; size * 3], <[u8]>::to_vec);
                    bytes.extend(line);
                    bytes.extend([255; 6]);
                }
            }
        }
        std::fs::write(folder.join(name), bytes).unwrap();
    };
    for variant in [Variant::Motion, Variant::Appearance] {
        let data = dataset(variant);
        for what in 0..2 {
            let rows =
                data.classes.iter().enumerate().filter(|(i, _)| i % 4 == (what + i / 4) % 4).map(|(_, class)| {
                    let clips = [0, 1].map(|k| data.scene(class, k + 2 * what as u64));
                    clips.iter().flat_map(|scene| scene.frames(64, 16, &[0, 2, 4, 6, 9, 11, 13, 15])).collect()
                });
            write(format!("{}-{what}.ppm", variant.name()), rows.collect());
        }
        let start = std::time::Instant::now();
        let all: Vec<usize> = (0..16).collect();
        for class in &data.classes {
            (0..4).for_each(|k| assert_eq!(data.scene(class, k).frames(64, 16, &all).len(), 16));
        }
        println!("{}: {:.0} frames/s", variant.name(), 6400.0 / start.elapsed().as_secs_f64());
    }
    let data = dataset(Variant::Motion);
    let start = std::time::Instant::now();
    let images: Vec<_> = (0..2000).map(|i| data.captioned(Split::Train, i).unwrap()).collect();
    println!("captioned: {:.0} images/s", 2000.0 / start.elapsed().as_secs_f64());
    images[..48].iter().for_each(|image| println!("caption: {}", image.caption));
    write(
        "captions.ppm".into(),
        images[..48].chunks(8).map(|c| c.iter().map(|i| i.pixels.clone()).collect()).collect(),
    );
}
