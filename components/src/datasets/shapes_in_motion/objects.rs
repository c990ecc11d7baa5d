//! What can move: shapes and textures, and the words for them.

/// The outline of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    Disc,
    Square,
    Triangle,
    Star,
    Cross,
    Ring,
    Heart,
    Crescent,
    Diamond,
    Hexagon,
    Arrow,
    Cup,
    Bottle,
    House,
    Car,
    Tree,
    Fish,
    Leaf,
    Boat,
}

impl Shape {
    pub const ALL: [Shape; 19] = [
        Shape::Disc,
        Shape::Square,
        Shape::Triangle,
        Shape::Star,
        Shape::Cross,
        Shape::Ring,
        Shape::Heart,
        Shape::Crescent,
        Shape::Diamond,
        Shape::Hexagon,
        Shape::Arrow,
        Shape::Cup,
        Shape::Bottle,
        Shape::House,
        Shape::Car,
        Shape::Tree,
        Shape::Fish,
        Shape::Leaf,
        Shape::Boat,
    ];

    /// The word for one of them.
    pub fn one(self) -> &'static str {
        match self {
            Shape::Disc => "disc",
            Shape::Square => "square",
            Shape::Triangle => "triangle",
            Shape::Star => "star",
            Shape::Cross => "cross",
            Shape::Ring => "ring",
            Shape::Heart => "heart",
            Shape::Crescent => "crescent",
            Shape::Diamond => "diamond",
            Shape::Hexagon => "hexagon",
            Shape::Arrow => "arrow",
            Shape::Cup => "cup",
            Shape::Bottle => "bottle",
            Shape::House => "house",
            Shape::Car => "car",
            Shape::Tree => "tree",
            Shape::Fish => "fish",
            Shape::Leaf => "leaf",
            Shape::Boat => "boat",
        }
    }

    /// The word for several.
    pub fn many(self) -> String {
        match self {
            Shape::Cross => "crosses".into(),
            Shape::Leaf => "leaves".into(),
            Shape::Fish => "fishes".into(),
            other => format!("{}s", other.one()),
        }
    }
}

/// The pattern on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Texture {
    Plain,
    Striped,
    Dotted,
    Checkered,
}

impl Texture {
    pub const ALL: [Texture; 4] = [Texture::Plain, Texture::Striped, Texture::Dotted, Texture::Checkered];

    pub fn word(self) -> &'static str {
        match self {
            Texture::Plain => "plain",
            Texture::Striped => "striped",
            Texture::Dotted => "dotted",
            Texture::Checkered => "checkered",
        }
    }
}

/// The kind of an object: all that a class fixes of its looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct What {
    pub shape: Shape,
    pub texture: Texture,
}

impl What {
    pub const fn new(texture: Texture, shape: Shape) -> Self {
        Self { shape, texture }
    }

    /// "striped disc", or "striped discs" where `many`; a plain object is named by its shape alone.
    pub fn text(self, many: bool) -> String {
        let shape = if many { self.shape.many() } else { self.shape.one().to_string() };
        match self.texture {
            Texture::Plain => shape,
            texture => format!("{} {shape}", texture.word()),
        }
    }
}

/// `text` with its indefinite article before it.
pub fn with_article(text: &str) -> String {
    let article = if text.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {text}")
}

/// Every kind of object that captions show.
pub fn all_whats() -> Vec<What> {
    Shape::ALL.iter().flat_map(|&shape| Texture::ALL.map(|texture| What { shape, texture })).collect()
}
