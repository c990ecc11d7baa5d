//! Tensor names: Hugging Face → OpenAI ↔ module paths, with the layouts that go with them; and whose names a checkpoint
//! has.

use maclip_framework::error::{Error, Result};
use maclip_framework::weights::{HostTensor, Layout, transpose};
use std::collections::BTreeMap;

type Tensors = BTreeMap<String, HostTensor>;

/// Entries of state dicts that are no weights: position numbers of older Hugging Face files, sizes in OpenAI's
/// archives, batch counters.
pub(crate) fn is_no_weight(name: &str) -> bool {
    ["position_ids", "num_batches_tracked"].iter().any(|end| name.ends_with(end))
        || ["input_resolution", "context_length", "vocab_size"].contains(&name)
}

/// Whether names are those of an image transformer without text tower, timm's or Hugging Face's.
pub(crate) fn is_vit(tensors: &Tensors) -> bool {
    ["patch_embed.proj.weight", "embeddings.patch_embeddings.projection.weight"]
        .iter()
        .any(|n| tensors.contains_key(*n))
}

/// Whether names are those of a Hugging Face `CLIPModel`.
pub(crate) fn is_hugging_face(tensors: &Tensors) -> bool {
    tensors.keys().any(|name| name.starts_with("vision_model.") || name.starts_with("text_model."))
}

/// Renamed tensors. A second tensor of one name is an error: two spellings of a name must not hide a tensor.
#[derive(Default)]
pub(crate) struct Renamed(Tensors);

impl Renamed {
    pub fn insert(&mut self, name: String, tensor: HostTensor) -> Result<()> {
        if self.0.contains_key(&name) {
            return Err(Error::failed(format!("the checkpoint holds {name} twice, under two spellings")));
        }
        self.0.insert(name, tensor);
        Ok(())
    }

    pub fn finish(self) -> Tensors {
        self.0
    }
}

/// Renames a Hugging Face `CLIPModel`: q, k, v stacked in that order, projections transposed. Unknown names stay, so
/// that they are reported as unused.
///
/// # Errors
/// Where two tensors get the same name.
pub fn from_hugging_face(tensors: Tensors) -> Result<Tensors> {
    let mut renamed = Renamed::default();
    let mut stacks: BTreeMap<String, Parts> = BTreeMap::new();
    for (name, tensor) in tensors {
        if let Some((target, part)) = packed(&name) {
            stacks.entry(target).or_default()[part] = Some((name, tensor));
            continue;
        }
        match openai_of(&name) {
            Some((target, true)) => renamed.insert(target, transpose(tensor))?,
            Some((target, false)) => renamed.insert(target, tensor)?,
            None => renamed.insert(name, tensor)?,
        }
    }
    for (target, parts) in stacks {
        stack(target, parts, &mut renamed)?;
    }
    Ok(renamed.finish())
}

/// Queries, keys and values, each with its name.
pub(crate) type Parts = [Option<(String, HostTensor)>; 3];

/// Puts queries, keys and values `[D, …]` of equal shape into one tensor `[3 D, …]`. Parts that are alone or of unequal
/// shape stay as they are, so that the whole is reported as missing and the parts as unused.
pub(crate) fn stack(target: String, parts: Parts, into: &mut Renamed) -> Result<()> {
    match parts {
        [Some((_, q)), Some((_, k)), Some((_, v))]
            if q.shape == k.shape && k.shape == v.shape && !q.shape.is_empty() =>
        {
            let mut shape = q.shape;
            shape[0] = shape[0].saturating_mul(3);
            let mut values = q.values;
            values.extend(k.values);
            values.extend(v.values);
            into.insert(target, HostTensor { shape, values })
        }
        parts => parts.into_iter().flatten().try_for_each(|(name, tensor)| into.insert(name, tensor)),
    }
}

/// `….encoder.layers.3.` → the OpenAI prefix of that block, and the rest.
fn layer(name: &str) -> Option<(String, &str)> {
    let (tower, rest) = match name.strip_prefix("vision_model.encoder.layers.") {
        Some(rest) => ("visual.transformer", rest),
        None => ("transformer", name.strip_prefix("text_model.encoder.layers.")?),
    };
    let (number, rest) = rest.split_once('.')?;
    number.parse::<usize>().ok()?;
    Some((format!("{tower}.resblocks.{number}"), rest))
}

/// The packed tensor that a q, k or v projection belongs to, and its place there.
fn packed(name: &str) -> Option<(String, usize)> {
    let (block, rest) = layer(name)?;
    let (part, kind) = rest.strip_prefix("self_attn.")?.split_once("_proj.")?;
    let part = ["q", "k", "v"].iter().position(|known| *known == part)?;
    ["weight", "bias"].contains(&kind).then(|| (format!("{block}.attn.in_proj_{kind}"), part))
}

/// Names outside of the blocks: Hugging Face's, OpenAI's, and whether the matrix is transposed there.
const FIXED: [(&str, &str, bool); 14] = [
    ("logit_scale", "logit_scale", false),
    ("visual_projection.weight", "visual.proj", true),
    ("text_projection.weight", "text_projection", true),
    ("vision_model.embeddings.class_embedding", "visual.class_embedding", false),
    ("vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight", false),
    ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding", false),
    // The misspelling is Hugging Face's.
    ("vision_model.pre_layrnorm.weight", "visual.ln_pre.weight", false),
    ("vision_model.pre_layrnorm.bias", "visual.ln_pre.bias", false),
    ("vision_model.post_layernorm.weight", "visual.ln_post.weight", false),
    ("vision_model.post_layernorm.bias", "visual.ln_post.bias", false),
    ("text_model.embeddings.token_embedding.weight", "token_embedding.weight", false),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding", false),
    ("text_model.final_layer_norm.weight", "ln_final.weight", false),
    ("text_model.final_layer_norm.bias", "ln_final.bias", false),
];
/// Layers of a block: Hugging Face's name and OpenAI's.
const LAYERS: [(&str, &str); 5] = [
    ("self_attn.out_proj", "attn.out_proj"),
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
];

/// The OpenAI name, and whether the matrix is transposed there.
fn openai_of(name: &str) -> Option<(String, bool)> {
    if let Some((_, target, transposed)) = FIXED.iter().find(|(known, _, _)| *known == name) {
        return Some(((*target).to_owned(), *transposed));
    }
    let (block, rest) = layer(name)?;
    let (part, kind) = rest.rsplit_once('.')?;
    let (_, part) = LAYERS.iter().find(|(known, _)| *known == part)?;
    Some((format!("{block}.{part}.{kind}"), false))
}

/// The inverse of [`openai_of`] and [`packed`]: Hugging Face's name, and what becomes of the shape.
fn hugging_face_of(name: &str) -> Option<(String, InFile)> {
    if let Some((theirs, _, transposed)) = FIXED.iter().find(|(_, known, _)| *known == name) {
        return Some(((*theirs).to_owned(), if *transposed { InFile::Transposed } else { InFile::Same }));
    }
    let (tower, rest) = match name.strip_prefix("visual.transformer.resblocks.") {
        Some(rest) => ("vision_model", rest),
        None => ("text_model", name.strip_prefix("transformer.resblocks.")?),
    };
    let (number, rest) = rest.split_once('.')?;
    let block = format!("{tower}.encoder.layers.{number}");
    if let Some(kind) = rest.strip_prefix("attn.in_proj_") {
        return Some((format!("{block}.self_attn.{{q,k,v}}_proj.{kind}"), InFile::Third));
    }
    let (part, kind) = rest.rsplit_once('.')?;
    let (theirs, _) = LAYERS.iter().find(|(_, known)| *known == part)?;
    Some((format!("{block}.{theirs}.{kind}"), InFile::Same))
}

/// How the shape in a file follows from that under OpenAI's name.
enum InFile {
    Same,
    Transposed,
    /// Each of three equal parts of the first axis.
    Third,
}

/// The names that a file has for the tensors of a CLIP.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileNames {
    /// By OpenAI's name; what is not here has the same name, apart from `prefix` and `text`.
    pub known: BTreeMap<String, String>,
    /// What stands before every name.
    pub prefix: String,
    /// Whether the names of the text tower begin with `text.` after it.
    pub text: bool,
    /// Whether the names are Hugging Face's.
    pub hugging_face: bool,
}

impl FileNames {
    /// The file's name of the tensor `openai`, also of one that is not in it.
    pub fn of(&self, openai: &str) -> String {
        self.entry(openai, &[]).0
    }

    /// The same with the shape there of what has `shape` under OpenAI's name.
    pub fn entry(&self, openai: &str, shape: &[usize]) -> (String, Vec<usize>) {
        let mut shape = shape.to_vec();
        if self.hugging_face
            && let Some((theirs, layout)) = hugging_face_of(openai)
        {
            match layout {
                InFile::Same => {}
                InFile::Transposed => shape.reverse(),
                InFile::Third => shape.iter_mut().take(1).for_each(|size| *size /= 3),
            }
            return (format!("{}{theirs}", self.prefix), shape);
        }
        let name = match self.known.get(openai) {
            Some(known) => known.clone(),
            None if self.text && !openai.starts_with("visual.") && openai != "logit_scale" => {
                format!("{}text.{openai}", self.prefix)
            }
            None => format!("{}{openai}", self.prefix),
        };
        (name, shape)
    }
}

/// Tensors by module path → by OpenAI name, in OpenAI's layout.
pub fn to_openai(tensors: Tensors) -> Tensors {
    tensors.into_iter().map(|(path, tensor)| (openai_name(&path), layout_of(&path).written(tensor))).collect()
}

/// The inverse of [`to_openai`]. Unknown names stay, so that they are reported as unused.
///
/// # Errors
/// Where two tensors get the same name.
pub fn from_openai(tensors: Tensors) -> Result<Tensors> {
    let resnet = is_resnet(&tensors);
    let mut renamed = Renamed::default();
    for (name, tensor) in tensors {
        let path = module_path(&name, resnet);
        let tensor = match path.as_str() {
            "logit_scale" if tensor.shape.is_empty() => HostTensor { shape: vec![1], ..tensor },
            _ => layout_of(&path).read(tensor),
        };
        renamed.insert(path, tensor)?;
    }
    Ok(renamed.finish())
}

/// Whether the image tower is a ResNet.
pub(crate) fn is_resnet(tensors: &Tensors) -> bool {
    tensors.keys().any(|name| name.starts_with("visual.layer1."))
}

/// How the tensor at `path` lies in checkpoints. Matrices of linear layers are the only ones with two axes and this
/// name.
pub fn layout_of(path: &str) -> Layout {
    match path {
        "visual.patch" => Layout::Patches,
        _ if path.ends_with(".weight") => Layout::Transposed,
        _ => Layout::Same,
    }
}

/// Module path → OpenAI name: replacements on the text of a path, tried in order.
const NAMES: [(&str, &str); 11] = [
    ("visual.resblocks.", "visual.transformer.resblocks."),
    ("text.resblocks.", "transformer.resblocks."),
    ("text.token_embedding", "token_embedding.weight"),
    ("text.", ""),
    ("visual.patch_bias", "visual.conv1.bias"),
    ("visual.patch", "visual.conv1.weight"),
    (".c_fc.", ".mlp.c_fc."),
    (".c_proj.", ".mlp.c_proj."),
    (".in_proj.", ".in_proj_"),
    (".downsample.conv.", ".downsample.0."),
    (".downsample.norm.", ".downsample.1."),
];

/// OpenAI's name of the tensor at `path` of a CLIP.
pub fn openai_name(path: &str) -> String {
    let mut name = path.to_owned();
    for (ours, theirs) in NAMES {
        name = name.replacen(ours, theirs, 1);
    }
    // The ResNet's pooling has a `c_proj` of its own.
    let name = name.replace("attnpool.mlp.", "attnpool.");
    name.replace(".gamma", ".weight").replace(".beta", ".bias")
}

fn module_path(name: &str, resnet: bool) -> String {
    let name = match name {
        "visual.conv1.weight" if !resnet => return "visual.patch".to_owned(),
        "token_embedding.weight" => return "text.token_embedding".to_owned(),
        "logit_scale" => return name.to_owned(),
        _ => name
            .replace(".mlp.", ".")
            .replace(".in_proj_", ".in_proj.")
            .replace(".downsample.0.", ".downsample.conv.")
            .replace(".downsample.1.", ".downsample.norm."),
    };
    let path = match name.strip_prefix("visual.") {
        Some(rest) => format!("visual.{}", rest.strip_prefix("transformer.").unwrap_or(rest)),
        None => format!("text.{}", name.strip_prefix("transformer.").unwrap_or(&name)),
    };
    let is_norm = path.rsplit('.').nth(1).is_some_and(|layer| layer.starts_with("ln_"));
    if is_norm { path.replace(".weight", ".gamma").replace(".bias", ".beta") } else { path }
}

/// `[D, 3, P, P]` → `[D, 3 P P]`
pub(crate) fn flatten_patch(tensor: HostTensor) -> HostTensor {
    match tensor.shape.as_slice() {
        &[d, c, h, w] => HostTensor { shape: vec![d, c.saturating_mul(h).saturating_mul(w)], values: tensor.values },
        _ => tensor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize]) -> HostTensor {
        let values = (0..shape.iter().product::<usize>()).map(|v| v as f32).collect();
        HostTensor { shape: shape.to_vec(), values }
    }

    #[test]
    fn names_and_layouts_go_there_and_back() {
        let paths = [
            "visual.class_embedding",
            "visual.positional_embedding",
            "visual.ln_pre.gamma",
            "visual.resblocks.3.attn.in_proj.weight",
            "visual.resblocks.3.attn.out_proj.bias",
            "visual.resblocks.3.ln_2.beta",
            "visual.resblocks.3.c_fc.weight",
            "visual.proj",
            "visual.layer2.0.downsample.conv.weight",
            "visual.layer2.0.downsample.norm.running_mean",
            "visual.attnpool.c_proj.weight",
            "visual.bn1.weight",
            "text.token_embedding",
            "text.positional_embedding",
            "text.resblocks.0.c_proj.weight",
            "text.ln_final.gamma",
            "text.text_projection",
            "logit_scale",
        ];
        for path in paths {
            assert_eq!(module_path(&openai_name(path), path.contains("layer2")), path);
        }
        assert_eq!(
            openai_name("visual.resblocks.3.attn.in_proj.weight"),
            "visual.transformer.resblocks.3.attn.in_proj_weight"
        );
        assert_eq!(openai_name("text.resblocks.0.ln_1.gamma"), "transformer.resblocks.0.ln_1.weight");
        // Image transformers without text tower have one; no CLIP has.
        assert_eq!(openai_name("visual.patch_bias"), "visual.conv1.bias");
        let tensors = BTreeMap::from([
            ("visual.patch".to_owned(), tensor(&[48, 5])),
            ("text.ln_final.gamma".to_owned(), tensor(&[2])),
        ]);
        let openai = to_openai(tensors.clone());
        assert_eq!(openai["visual.conv1.weight"].shape, [5, 3, 4, 4]);
        assert_eq!(from_openai(openai).unwrap(), tensors);
    }

    #[test]
    fn two_spellings_of_one_name_are_refused() {
        let tensors = BTreeMap::from([
            ("visual_projection.weight".to_owned(), tensor(&[2, 3])),
            ("visual.proj".to_owned(), tensor(&[3, 2])),
        ]);
        assert!(from_hugging_face(tensors).unwrap_err().to_string().contains("visual.proj twice"));
        // Not the block's own tensor, however often the word stands there.
        assert_eq!(module_path("visual.transformer.transformer.x", false), "visual.transformer.x");
    }

    #[test]
    fn queries_keys_and_values_are_stacked_and_a_lone_part_stays_visible() {
        let name = |part: &str| format!("text_model.encoder.layers.1.self_attn.{part}_proj.bias");
        let one = |value: f32| HostTensor { shape: vec![1], values: vec![value] };
        let mut tensors = BTreeMap::from([(name("k"), one(2.0)), (name("q"), one(1.0)), (name("v"), one(3.0))]);
        let renamed = from_hugging_face(tensors.clone()).unwrap();
        assert_eq!(renamed["transformer.resblocks.1.attn.in_proj_bias"].values, [1.0, 2.0, 3.0]);
        tensors.remove(&name("k"));
        let renamed = from_hugging_face(tensors).unwrap();
        assert_eq!(renamed.keys().cloned().collect::<Vec<_>>(), [name("q"), name("v")]);
    }

    #[test]
    fn messages_have_the_names_and_shapes_of_the_file() {
        let theirs = FileNames { prefix: "clip.".to_owned(), hugging_face: true, ..FileNames::default() };
        let entry = |name: &str, shape: &[usize]| theirs.entry(name, shape);
        assert_eq!(
            entry("visual.transformer.resblocks.3.attn.in_proj_weight", &[12, 4]),
            ("clip.vision_model.encoder.layers.3.self_attn.{q,k,v}_proj.weight".to_owned(), vec![4, 4])
        );
        assert_eq!(
            entry("transformer.resblocks.0.mlp.c_fc.bias", &[16]),
            ("clip.text_model.encoder.layers.0.mlp.fc1.bias".to_owned(), vec![16])
        );
        assert_eq!(entry("text_projection", &[4, 8]), ("clip.text_projection.weight".to_owned(), vec![8, 4]));
        for (theirs, ours, transposed) in FIXED {
            assert_eq!(openai_of(theirs), Some((ours.to_owned(), transposed)));
            assert_eq!(hugging_face_of(ours).unwrap().0, theirs);
        }
        let custom = FileNames { text: true, ..FileNames::default() };
        assert_eq!(custom.of("ln_final.bias"), "text.ln_final.bias");
        assert_eq!(custom.of("visual.proj"), "visual.proj");
        let wrapped = BTreeMap::from([("visual.proj".to_owned(), "module.visual.proj".to_owned())]);
        assert_eq!(FileNames { known: wrapped, ..FileNames::default() }.of("visual.proj"), "module.visual.proj");
    }
}
