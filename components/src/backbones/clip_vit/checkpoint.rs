//! CLIP weights in OpenAI's tensor names: built in or in a safetensors file. Sizes come from the file.

use super::Architecture;
use super::tokenizer::Tokenizer;
use maclip_framework::error::{Error, Result};
use maclip_framework::parameters::HostTensor;
use maclip_framework::weights::{own_metadata, parse, sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// Largest file that is read: a ViT-L/14 in f32 is 1.7 GB.
const MAX_BYTES: u64 = 8 << 30;

const BUILTIN: [(&str, &[u8]); 1] = [("shapes_clip", include_bytes!("../../../weights/shapes_clip/model.safetensors"))];

pub fn builtin(name: &str) -> Option<&'static [u8]> {
    BUILTIN.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

pub fn builtin_names() -> String {
    BUILTIN.map(|(name, _)| format!("builtin:{name}")).join(", ")
}

/// Weights with what the file says about them.
pub struct File {
    pub architecture: Architecture,
    pub tokenizer: Tokenizer,
    /// By module path.
    pub tensors: BTreeMap<String, HostTensor>,
    pub sha256: String,
}

/// Reads `builtin:NAME` or a path.
pub fn read(source: &str) -> Result<File> {
    match source.strip_prefix("builtin:").and_then(builtin) {
        Some(bytes) => load(source, bytes),
        None => {
            let path = Path::new(source);
            let help = "`backbone.weights` is the path of a CLIP checkpoint in safetensors format with OpenAI's tensor names \
                        (`--set backbone.weights=PATH`), or builtin:shapes_clip";
            let found =
                std::fs::metadata(path).map_err(|error| Error::io("read the weights", path, error).help(help))?;
            if found.len() > MAX_BYTES {
                return Err(Error::failed(format!(
                    "{source} has {} bytes; weights above 8 GiB are refused",
                    found.len()
                )));
            }
            let bytes = std::fs::read(path).map_err(|error| Error::io("read the weights", path, error).help(help))?;
            load(source, &bytes)
        }
    }
}

fn load(source: &str, bytes: &[u8]) -> Result<File> {
    let (tensors, metadata) = parse(source, bytes)?;
    let about = own_metadata(&metadata);
    let broken = |what: &str| Error::failed(format!("{source}: the file's own {what} cannot be read"));
    let architecture = match about.get("architecture") {
        Some(text) => serde_json::from_str(text).map_err(|_| broken("architecture"))?,
        None => from_shapes(source, &tensors)?,
    };
    if let Some(problem) = architecture.problem() {
        return Err(Error::failed(format!("{source} holds a model that cannot be built: {problem}")));
    }
    let words: Vec<String> = match about.get("vocabulary") {
        Some(text) => serde_json::from_str(text).map_err(|_| broken("vocabulary"))?,
        None => {
            return Err(Error::failed(format!(
                "{source} has OpenAI's vocabulary, whose tokenizer this version does not have yet"
            ))
            .help(
                "weights that maclip exported (task: contrastive) carry their own vocabulary; builtin:shapes_clip does",
            ));
        }
    };
    Ok(File { architecture, tokenizer: Tokenizer::new(words)?, tensors: from_openai(tensors), sha256: sha256(bytes) })
}

/// Sizes from tensor shapes; the number of heads cannot be seen, published models have width / 64.
fn from_shapes(source: &str, tensors: &BTreeMap<String, HostTensor>) -> Result<Architecture> {
    let shape = |name: &str, rank: usize| -> Result<&[usize]> {
        match tensors.get(name) {
            Some(tensor) if tensor.shape.len() == rank => Ok(&tensor.shape),
            Some(tensor) => {
                Err(Error::failed(format!("{source}: {name} has shape {:?}, not {rank} axes", tensor.shape)))
            }
            None => Err(Error::failed(format!("{source} has no tensor {name}: not a CLIP with OpenAI's names"))
                .help("the backbone reads a ViT CLIP's whole state dict in safetensors format")),
        }
    };
    let layers = |prefix: &str| {
        let numbers =
            tensors.keys().filter_map(|name| name.strip_prefix(prefix)?.split('.').next()?.parse::<usize>().ok());
        numbers.max().map_or(0, |last| last + 1)
    };
    let [width, _, _, patch_size] = shape("visual.conv1.weight", 4)? else { unreachable!("the rank is checked") };
    let grid = (shape("visual.positional_embedding", 2)?[0].saturating_sub(1)).isqrt();
    let text_width = shape("ln_final.weight", 1)?[0];
    Ok(Architecture {
        image_size: grid * patch_size,
        patch_size: *patch_size,
        vision_width: *width,
        vision_layers: layers("visual.transformer.resblocks."),
        vision_heads: width / 64,
        embed_dim: shape("text_projection", 2)?[1],
        context_length: shape("positional_embedding", 2)?[0],
        text_width,
        text_layers: layers("transformer.resblocks."),
        text_heads: text_width / 64,
    })
}

/// Module path ↔ OpenAI name: replacements on the text of a name, tried in order.
const NAMES: [(&str, &str); 8] = [
    ("visual.resblocks.", "visual.transformer.resblocks."),
    ("text.resblocks.", "transformer.resblocks."),
    ("text.token_embedding", "token_embedding.weight"),
    ("text.", ""),
    ("visual.patch", "visual.conv1.weight"),
    (".c_fc.", ".mlp.c_fc."),
    (".c_proj.", ".mlp.c_proj."),
    (".in_proj.", ".in_proj_"),
];

fn openai_name(path: &str) -> String {
    let mut name = path.to_owned();
    for (ours, theirs) in NAMES {
        name = name.replacen(ours, theirs, 1);
    }
    name.replace(".gamma", ".weight").replace(".beta", ".bias")
}

/// Matrices of linear layers are `[out, in]` in checkpoints and `[in, out]` here.
fn is_linear(path: &str) -> bool {
    path.ends_with(".weight")
}

/// Tensors by module path → by OpenAI name, in OpenAI's layout.
pub fn to_openai(tensors: BTreeMap<String, HostTensor>) -> BTreeMap<String, HostTensor> {
    tensors
        .into_iter()
        .map(|(path, tensor)| {
            let tensor = match path.as_str() {
                "visual.patch" => unflatten_patch(transpose(tensor)),
                _ if is_linear(&path) => transpose(tensor),
                _ => tensor,
            };
            (openai_name(&path), tensor)
        })
        .collect()
}

/// The inverse of [`to_openai`]. Names it does not know keep their name, so that they are reported as unused.
fn from_openai(tensors: BTreeMap<String, HostTensor>) -> BTreeMap<String, HostTensor> {
    tensors
        .into_iter()
        .map(|(name, tensor)| {
            let path = module_path(&name);
            let tensor = match path.as_str() {
                "visual.patch" => transpose(flatten_patch(tensor)),
                "logit_scale" if tensor.shape.is_empty() => HostTensor { shape: vec![1], ..tensor },
                _ if is_linear(&path) => transpose(tensor),
                _ => tensor,
            };
            (path, tensor)
        })
        .collect()
}

fn module_path(name: &str) -> String {
    let name = match name {
        "visual.conv1.weight" => return "visual.patch".to_owned(),
        "token_embedding.weight" => return "text.token_embedding".to_owned(),
        "logit_scale" => return name.to_owned(),
        _ => name.replace(".mlp.", ".").replace(".in_proj_", ".in_proj."),
    };
    let path = match name.strip_prefix("visual.") {
        Some(rest) => format!("visual.{}", rest.trim_start_matches("transformer.")),
        None => format!("text.{}", name.trim_start_matches("transformer.")),
    };
    let is_norm = path.rsplit('.').nth(1).is_some_and(|layer| layer.starts_with("ln_"));
    if is_norm { path.replace(".weight", ".gamma").replace(".bias", ".beta") } else { path }
}

fn transpose(tensor: HostTensor) -> HostTensor {
    let &[rows, columns] = tensor.shape.as_slice() else { return tensor };
    let values = (0..rows * columns).map(|p| tensor.values[(p % rows) * columns + p / rows]).collect();
    HostTensor { shape: vec![columns, rows], values }
}

/// `[D, 3, P, P]` → `[D, 3 P P]`
fn flatten_patch(tensor: HostTensor) -> HostTensor {
    match tensor.shape.as_slice() {
        &[d, c, h, w] => HostTensor { shape: vec![d, c * h * w], values: tensor.values },
        _ => tensor,
    }
}

fn unflatten_patch(tensor: HostTensor) -> HostTensor {
    let side = (tensor.shape[1] / 3).isqrt();
    HostTensor { shape: vec![tensor.shape[0], 3, side, side], values: tensor.values }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_layouts_go_there_and_back() {
        let paths = [
            "visual.patch",
            "visual.class_embedding",
            "visual.positional_embedding",
            "visual.ln_pre.gamma",
            "visual.resblocks.3.attn.in_proj.weight",
            "visual.resblocks.3.attn.out_proj.bias",
            "visual.resblocks.3.ln_2.beta",
            "visual.resblocks.3.c_fc.weight",
            "visual.proj",
            "text.token_embedding",
            "text.positional_embedding",
            "text.resblocks.0.c_proj.weight",
            "text.ln_final.gamma",
            "text.text_projection",
            "logit_scale",
        ];
        for path in paths {
            assert_eq!(module_path(&openai_name(path)), path);
        }
        assert_eq!(
            openai_name("visual.resblocks.3.attn.in_proj.weight"),
            "visual.transformer.resblocks.3.attn.in_proj_weight"
        );
        assert_eq!(openai_name("text.resblocks.0.ln_1.gamma"), "transformer.resblocks.0.ln_1.weight");
        let tensors = BTreeMap::from([
            ("visual.patch".to_owned(), HostTensor { shape: vec![12, 5], values: (0..60).map(|v| v as f32).collect() }),
            ("text.ln_final.gamma".to_owned(), HostTensor { shape: vec![2], values: vec![1.0, 2.0] }),
        ]);
        let openai = to_openai(tensors.clone());
        assert_eq!(openai["visual.conv1.weight"].shape, [5, 3, 2, 2]);
        assert_eq!(from_openai(openai), tensors);
    }
}
