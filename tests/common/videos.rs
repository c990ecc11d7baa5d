//! Videos and weights that tests make for themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Classes that [`videos`] makes a video of: those of a 5-way episode.
pub const CLASSES: usize = 5;

/// Videos of 12 frames, one for each class of a split: of its own colours, and moving at its own speed.
pub fn videos(folder: &Path) -> Vec<Vec<u8>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error"]);
    for class in 0..CLASSES {
        let (hue, speed) = (72 * class, 0.02 * class as f64);
        let source = format!("testsrc2=size=32x24:rate=25,hue=h={hue},scroll=horizontal={speed}");
        command.args(["-f", "lavfi", "-i", &source]);
    }
    let paths: Vec<PathBuf> = (0..CLASSES).map(|class| folder.join(format!("{class}.mp4"))).collect();
    for (class, path) in paths.iter().enumerate() {
        command.args(["-map", &format!("{class}:v"), "-frames:v", "12", "-c:v", "mpeg4", "-q:v", "2"]).arg(path);
    }
    assert!(command.stdin(Stdio::null()).status().unwrap().success());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

pub fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// [`write`] of a video with `mark` in a box behind it, which no player reads: no other file has the same bytes, as
/// clips of two splits must not.
pub fn write_marked(path: &Path, video: &[u8], mark: &str) {
    let length = mark.len() as u32 + 8;
    write(path, [video, &length.to_be_bytes(), b"free", mark.as_bytes()].concat());
}

/// A CLIP with random weights under OpenAI's names: 32 × 32 pixels, towers of two blocks, OpenAI's vocabulary.
pub fn weights(path: &Path) {
    const WIDTH: usize = 64;
    let mut tensors: Vec<(String, Vec<usize>)> = Vec::new();
    let mut add = |name: &str, shape: &[usize]| tensors.push((name.to_owned(), shape.to_vec()));
    add("visual.class_embedding", &[WIDTH]);
    add("visual.conv1.weight", &[WIDTH, 3, 16, 16]);
    add("visual.positional_embedding", &[5, WIDTH]);
    add("visual.proj", &[WIDTH, 32]);
    add("positional_embedding", &[77, WIDTH]);
    add("token_embedding.weight", &[49_408, WIDTH]);
    add("text_projection", &[WIDTH, 32]);
    add("logit_scale", &[]);
    for norm in ["visual.ln_pre", "visual.ln_post", "ln_final"] {
        add(&format!("{norm}.weight"), &[WIDTH]);
        add(&format!("{norm}.bias"), &[WIDTH]);
    }
    for tower in ["visual.transformer", "transformer"] {
        for block in [0, 1].map(|at| format!("{tower}.resblocks.{at}")) {
            for (layer, out, input) in [("attn.out_proj", 1, 1), ("mlp.c_fc", 4, 1), ("mlp.c_proj", 1, 4)] {
                add(&format!("{block}.{layer}.weight"), &[out * WIDTH, input * WIDTH]);
                add(&format!("{block}.{layer}.bias"), &[out * WIDTH]);
            }
            add(&format!("{block}.attn.in_proj_weight"), &[3 * WIDTH, WIDTH]);
            add(&format!("{block}.attn.in_proj_bias"), &[3 * WIDTH]);
            for norm in ["ln_1", "ln_2"] {
                add(&format!("{block}.{norm}.weight"), &[WIDTH]);
                add(&format!("{block}.{norm}.bias"), &[WIDTH]);
            }
        }
    }
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.1 * (state as f32 / u32::MAX as f32 - 0.5)
    };
    let mut bytes = |(name, shape): &(String, Vec<usize>)| -> Vec<u8> {
        let middle = if name.contains("ln_") && name.ends_with("weight") { 1.0 } else { 0.0 };
        (0..shape.iter().product()).flat_map(|_| (middle + noise()).to_le_bytes()).collect()
    };
    let values: Vec<Vec<u8>> = tensors.iter().map(&mut bytes).collect();
    let views = tensors.iter().zip(&values).map(|((name, shape), values)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), values).unwrap();
        (name.as_str(), view)
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}
