use super::*;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

const VARIANTS: [Variant; 3] = [Variant::Motion, Variant::Appearance, Variant::Figures];

fn dataset(variant: Variant) -> ShapesInMotion {
    ShapesInMotion::new(ShapesInMotionConfig { variant, ..Default::default() })
}

#[test]
fn shapes_in_motion_a_reversed_clip_is_a_clip_of_the_reverse_class() {
    let all: Vec<usize> = (0..16).collect();
    let stream = Stream::new(4, "reverse test");
    let mut directed = 0;
    for (i, class) in classes::classes(Variant::Motion).iter().enumerate() {
        let at = |content| Scene::draw(content, None, &mut stream.at(i as u64)).frames(64, 16, &all);
        let Some(reverse) = class.content.reverse() else { continue };
        assert_eq!(reverse.reverse(), Some(class.content));
        directed += 1;
        let mut frames = at(class.content);
        assert_ne!(frames, at(reverse), "{}", class.name);
        frames.reverse();
        assert!(frames == at(reverse), "{}", class.name);
    }
    assert_eq!(directed, 90);
}

#[test]
fn shapes_in_motion_undirected_motions_look_alike_backwards() {
    // Mean height of a bouncing thing, and so on, cannot tell first from last half: compare over many clips.
    let data = dataset(Variant::Motion);
    for class in data.classes.iter().filter(|class| class.content.reverse().is_none()) {
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

/// A figure that does not move over a clip would make its class a pose.
#[test]
fn shapes_in_motion_every_act_moves_and_stays_in_sight() {
    for variant in VARIANTS {
        let data = dataset(variant);
        for class in &data.classes {
            let (mut moved, mut seen) = (0.0_f64, 0);
            for index in 0..8 {
                let scene = data.scene(class, index);
                let frames = scene.frames(64, 16, &[0, 4, 8, 12]);
                for pair in frames.windows(2) {
                    let change = pair[0].iter().zip(&pair[1]).filter(|(a, b)| a.abs_diff(**b) > 60).count();
                    moved = moved.max(change as f64 / pair[0].len() as f64);
                }
                let within = |x: f32| (-0.1..1.1).contains(&x);
                seen += (0..16)
                    .filter(|i| {
                        let (x, y) = scene.middle(*i as f32 / 15.0);
                        within(x) && within(y)
                    })
                    .count();
            }
            assert!(moved > 0.004, "{} {moved}", class.name);
            assert!(seen > 100, "{} {seen}", class.name);
        }
    }
}

#[test]
fn shapes_in_motion_clips_differ_and_do_not_depend_on_call_order() {
    for (variant, clips) in [(Variant::Motion, 900), (Variant::Appearance, 900), (Variant::Figures, 558)] {
        let data = dataset(variant);
        let ids: Vec<String> = (Split::ALL.iter())
            .flat_map(|&split| data.list(split).unwrap().classes)
            .flat_map(|class| class.clips.into_iter().step_by(7))
            .collect();
        assert_eq!(ids.len(), clips);
        let open = |id: &String| data.open(id, &[3, 12]).unwrap().images;
        let there: Vec<_> = ids.iter().map(open).collect();
        let mut back: Vec<_> = ids.iter().rev().map(open).collect();
        back.reverse();
        assert_eq!(there, back);
        assert_eq!(there.iter().flatten().collect::<HashSet<_>>().len(), 2 * clips);
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
/// Sines and powers come from the system's library, so another system may have another last bit in one of them.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn shapes_in_motion_pixels_stay_what_they_were() {
    let cases = [
        (Variant::Motion, 64, 3, 1, 0xd43b_3642_2733_dfd6),
        (Variant::Motion, 50, 1, 1, 0xf831_d99f_33cc_fca1),
        (Variant::Motion, 224, 1, 9, 0x69d0_c67e_1c42_4b74),
        (Variant::Appearance, 64, 3, 1, 0x03cd_31e7_d9b6_9211),
        (Variant::Appearance, 16, 1, 1, 0x4645_fbe7_57dd_4c9c),
        (Variant::Figures, 64, 3, 1, 0x91f2_987f_db83_d12a),
        (Variant::Figures, 224, 1, 9, 0x9b4b_c89b_6ce4_6e37),
    ];
    let found = cases.map(|(variant, size, clips, step, _)| {
        let data = dataset(variant);
        let scenes = data.classes.iter().step_by(step).flat_map(|class| (0..clips).map(|at| data.scene(class, at)));
        let frames = scenes.flat_map(|scene| scene.frames(size, 16, &[0, 5, 10, 15]));
        (variant, size, clips, step, frames.fold(EMPTY, |sum, frame| add(sum, &frame)))
    });
    assert!(found == cases, "{found:#x?}");
    let all = cases.iter().fold(EMPTY, |sum, case| add(sum, &case.4.to_le_bytes()));
    assert_eq!(all, PIXELS, "PIXELS must be {all:#x}: runs on other pixels are other runs");
    let data = dataset(Variant::Motion);
    let captioned = (0..300).map(|index| data.captioned(Split::Train, index).unwrap());
    let sum = captioned.fold(EMPTY, |sum, image| add(add(sum, &image.pixels), image.caption.as_bytes()));
    assert_eq!(sum, 0xdb0b_63d1_e08f_6c99, "captioned images: {sum:#x}");
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
    let bad = ["motion/no-such-thing/000", "motion/cup-growing/60", "motion/cup-growing/060", "x"];
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
        for index in 0..12000 {
            for word in captions.captioned(split, index).unwrap().caption.split(' ') {
                *seen.entry(word.to_string()).or_default() += 1;
            }
        }
    }
    assert!(seen.keys().all(|word| known.contains(word.as_str())), "{seen:?}");
    let unseen: Vec<_> = words.iter().filter(|word| !seen.contains_key(*word)).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
    for class in VARIANTS.into_iter().flat_map(classes::classes) {
        assert!(class.name.split(' ').all(|word| known.contains(word)), "{}", class.name);
    }
    let of = |split| captions.captioned(split, 0).unwrap();
    assert_ne!(of(Split::Train).pixels, of(Split::Val).pixels);
    assert_eq!(of(Split::Test).pixels, of(Split::Test).pixels);
}

#[test]
fn shapes_in_motion_captions_of_a_group_differ() {
    let data = dataset(Variant::Motion);
    let differ = (0..1000_u64).flat_map(|group| {
        let caption = |member| data.captioned(Split::Train, 4 * group + member).unwrap().caption;
        let first = caption(0);
        (1..4).map(|member| caption(member) != first).collect::<Vec<_>>()
    });
    // A change of the person alone need not be said, and few have equal names of classes.
    assert!(differ.filter(|differ| *differ).count() > 2800);
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
    for variant in VARIANTS {
        let data = dataset(variant);
        for (part, classes) in data.classes.chunks(25).enumerate() {
            let rows = classes.iter().map(|class| {
                let clips = [0, 1].map(|k| data.scene(class, k));
                clips.iter().flat_map(|scene| scene.frames(64, 16, &[0, 2, 4, 6, 9, 11, 13, 15])).collect()
            });
            write(format!("{}-{part}.ppm", variant.name()), rows.collect());
        }
        let start = std::time::Instant::now();
        let all: Vec<usize> = (0..16).collect();
        for class in &data.classes {
            (0..4).for_each(|k| assert_eq!(data.scene(class, k).frames(64, 16, &all).len(), 16));
        }
        let frames = 64.0 * data.classes.len() as f64;
        println!("{}: {:.0} frames/s", variant.name(), frames / start.elapsed().as_secs_f64());
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
