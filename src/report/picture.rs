//! The chart as a picture, for chat and wherever lines can't be drawn.
//!
//! Drawn from the same SVG as every other form, with fonts of our own, so that the same report gives the
//! same pixels on a machine without fonts.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use std::sync::{Arc, LazyLock};

/// Pixels for each unit of the SVG: sharp on the screens that people read chat on.
const SCALE: f32 = 2.0;
/// No picture is wider or higher than this, whatever the run: chat shows nothing larger anyway.
const PIXELS_MAX: f32 = 8_000.0;

/// DejaVu Sans, cut down to the signs that a chart can hold; see `fonts/LICENSE`.
static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    for font in [
        include_bytes!("fonts/DejaVuSans.ttf").as_slice(),
        include_bytes!("fonts/DejaVuSans-Bold.ttf").as_slice(),
    ] {
        fonts.load_font_data(font.to_vec());
    }
    fonts.set_sans_serif_family("DejaVu Sans");
    Arc::new(fonts)
});

/// Draws an SVG of ours as a PNG, in its light colours.
///
/// Should drawing ever fail, the answer is an empty picture and a line in the log: a report without its
/// picture is better than no report.
pub(super) fn png(svg: &str) -> Vec<u8> {
    draw(svg).unwrap_or_else(|why| {
        tracing::error!(%why, "the chart could not be drawn as a picture; the SVG and the record are whole");
        Pixmap::new(1, 1)
            .and_then(|empty| empty.encode_png().ok())
            .unwrap_or_default()
    })
}

fn draw(svg: &str) -> Result<Vec<u8>, String> {
    let options = Options {
        font_family: "DejaVu Sans".into(),
        fontdb: FONTS.clone(),
        ..Options::default()
    };
    let tree = Tree::from_str(&light(svg), &options).map_err(|e| e.to_string())?;
    let size = tree.size();
    let scale = SCALE.min(PIXELS_MAX / size.width().max(size.height()));
    let pixels = |length: f32| (length * scale).ceil().max(1.0) as u32;
    let mut picture = Pixmap::new(pixels(size.width()), pixels(size.height()))
        .ok_or("a picture of this size can't be made")?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut picture.as_mut());
    picture.encode_png().map_err(|e| e.to_string())
}

/// The SVG without what only browsers understand: the dark colours, and the system's own fonts.
fn light(svg: &str) -> String {
    let dark = svg.find("@media").zip(svg.find("</style>"));
    let svg = match dark {
        Some((from, to)) if from < to => format!("{}{}", &svg[..from], &svg[to..]),
        _ => svg.to_owned(),
    };
    svg.replacen("system-ui, -apple-system, ", "\"DejaVu Sans\", ", 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{chart, sample};

    fn drawn(svg: &str) -> Pixmap {
        Pixmap::decode_png(&draw(svg).unwrap()).unwrap()
    }

    #[test]
    fn the_same_run_gives_the_same_picture_twice_as_large_as_its_lines() {
        let svg = chart::svg(&sample::held());
        let picture = drawn(&svg);
        assert_eq!(picture.width(), 2_000);
        assert_eq!(png(&svg), png(&svg));
    }

    #[test]
    fn text_is_drawn_without_any_font_of_the_machine() {
        let line = |text: &str| {
            drawn(&format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"hb\" width=\"200\" height=\"40\">\
                 <style>{}</style><text x=\"4\" y=\"30\">{text}</text></svg>",
                include_str!("chart.css")
            ))
        };
        let ink = |picture: &Pixmap| picture.pixels().iter().filter(|p| p.alpha() > 0).count();
        assert_eq!(ink(&line("")), 0);
        for sign in ["limit 1 %", "▼", "▽", "●", "✕", "·", "–", "○"] {
            assert!(ink(&line(sign)) > 0, "{sign} was not drawn");
        }
        assert_ne!(line("▼").data(), line("▽").data(), "two signs, not two boxes");
    }

    #[test]
    fn what_can_not_be_drawn_is_an_empty_picture_and_no_panic() {
        assert!(Pixmap::decode_png(&png("<svg")).is_ok());
    }
}
