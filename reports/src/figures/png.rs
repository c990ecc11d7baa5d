//! Figures as PNG, in a font that comes with the program, so that they look the same everywhere.

use super::canvas::without_style;
use maclip_framework::error::{Error, Result};
use resvg::{tiny_skia, usvg};
use std::sync::{Arc, OnceLock};

/// Pixels of the picture for each pixel of the figure: sharp in print at the width of a column.
const SCALE: f32 = 2.0;

/// The figure on white, in its light colours.
pub fn png(svg: &str) -> Result<Vec<u8>> {
    let failed = |error: String| Error::failed(format!("cannot make a PNG of a figure: {error}"));
    let options = usvg::Options { fontdb: fonts(), font_family: "DejaVu Sans".into(), ..usvg::Options::default() };
    let tree = usvg::Tree::from_str(&without_style(svg), &options).map_err(|error| failed(error.to_string()))?;
    let size = tree.size();
    let (width, height) = ((size.width() * SCALE).ceil() as u32, (size.height() * SCALE).ceil() as u32);
    let mut picture = tiny_skia::Pixmap::new(width, height).ok_or_else(|| failed("it is too large".into()))?;
    picture.fill(tiny_skia::Color::WHITE);
    resvg::render(&tree, tiny_skia::Transform::from_scale(SCALE, SCALE), &mut picture.as_mut());
    picture.encode_png().map_err(|error| failed(error.to_string()))
}

fn fonts() -> Arc<usvg::fontdb::Database> {
    static FONTS: OnceLock<Arc<usvg::fontdb::Database>> = OnceLock::new();
    FONTS
        .get_or_init(|| {
            let mut fonts = usvg::fontdb::Database::new();
            fonts.load_font_data(dejavu::sans::regular().to_vec());
            fonts.load_font_data(dejavu::sans::bold().to_vec());
            fonts.set_sans_serif_family("DejaVu Sans");
            Arc::new(fonts)
        })
        .clone()
}

#[cfg(test)]
mod tests {
    use super::super::canvas::{self, Anchor};
    use super::*;
    use crate::palette::Colour;

    #[test]
    fn a_figure_has_its_colours_and_its_text() {
        let svg = canvas::draw(40.0, "alt", |canvas| {
            canvas.rect((0.0, 0.0), (20.0, 40.0), Colour::SERIES[1], 1.0);
            canvas.text("text", (100.0, 20.0), Anchor::Start, Colour::INK);
        });
        let picture = tiny_skia::Pixmap::decode_png(&png(&svg).unwrap()).unwrap();
        assert_eq!((picture.width(), picture.height()), (1120, 80));
        let colour = picture.pixel(20, 40).unwrap();
        assert_eq!((colour.red(), colour.green(), colour.blue()), (0x00, 0x72, 0xb2));
        let inked = (200..280).flat_map(|x| (0..80).map(move |y| (x, y)));
        assert!(inked.filter(|(x, y)| picture.pixel(*x, *y).unwrap().red() < 100).count() > 100, "no text was drawn");
    }
}
