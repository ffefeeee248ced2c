//! A picture as the bytes of an SVG, PNG or PDF file, from its SVG text and with its maker's name inside.

use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, TextStr};
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{self, Tree};
use std::collections::HashMap;
use std::sync::Arc;
use svg2pdf::ConversionOptions;
use thiserror::Error;

/// Pixels of a PNG to a unit of the SVG: sharp on dense screens and in print at half a page's width.
const PIXELS: u32 = 2;

/// The pixels that 256 MB hold.
const MOST_PIXELS: u64 = 1 << 26;

/// The reason why a picture has no such file.
#[derive(Debug, Error)]
pub enum DrawError {
    /// The SVG cannot be read.
    #[error("the picture cannot be read: {0}")]
    Svg(#[from] usvg::Error),
    /// There are too many pixels.
    #[error("the picture is too large for a PNG ({width} x {height}); write .svg or .pdf")]
    TooLarge {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
    /// The PNG cannot be encoded.
    #[error("the picture cannot be encoded: {0}")]
    Png(#[from] png::EncodingError),
    /// The PDF cannot be made.
    #[error("the picture cannot become a PDF: {0}")]
    Pdf(svg2pdf::ConversionError),
}

/// The picture as a PNG on its light ground; `Software` is its maker.
///
/// # Errors
///
/// [`DrawError`] if the SVG is none, or is too large.
pub fn to_png(svg: &str, maker: &str) -> Result<Vec<u8>, DrawError> {
    let tree = tree(svg)?;
    let size = tree.size();
    let pixels = |length: f32| (length * PIXELS as f32).ceil() as u32;
    let (width, height) = (pixels(size.width()), pixels(size.height()));
    let is_small = u64::from(width) * u64::from(height) <= MOST_PIXELS;
    let pixmap = is_small.then(|| Pixmap::new(width, height)).flatten();
    let mut pixmap = pixmap.ok_or(DrawError::TooLarge { width, height })?;
    // opaque, so that premultiplied colours are the colours themselves
    pixmap.fill(Color::WHITE);
    let scale = Transform::from_scale(PIXELS as f32, PIXELS as f32);
    resvg::render(&tree, scale, &mut pixmap.as_mut());

    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.add_text_chunk("Software".to_owned(), maker.to_owned())?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixmap.data())?;
    writer.finish()?;
    Ok(bytes)
}

/// The picture as a PDF of one page of its size, text as text; `Creator` is its maker.
///
/// # Errors
///
/// [`DrawError`] if the SVG is none, or holds what a PDF cannot.
pub fn to_pdf(svg: &str, maker: &str) -> Result<Vec<u8>, DrawError> {
    let tree = tree(svg)?;
    let (chunk, picture) =
        svg2pdf::to_chunk(&tree, ConversionOptions::default()).map_err(DrawError::Pdf)?;
    let mut free = Ref::new(1);
    let [info, catalog, pages, page, content] = std::array::from_fn(|_| free.bump());
    let mut renumbered = HashMap::new();
    let chunk = chunk.renumber(|old| *renumbered.entry(old).or_insert_with(|| free.bump()));
    let picture = renumbered[&picture];

    let mut pdf = Pdf::new();
    // first in the file, where `Target` looks for it
    pdf.document_info(info).creator(TextStr(maker));
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).count(1).kids([page]);
    let size = tree.size();
    let (width, height) = (size.width(), size.height());
    let name = Name(b"picture");
    let mut sheet = pdf.page(page);
    sheet.media_box(Rect::new(0.0, 0.0, width, height));
    sheet.parent(pages).contents(content);
    sheet.resources().x_objects().pair(name, picture);
    sheet.finish();
    let mut draw = Content::new();
    draw.transform([width, 0.0, 0.0, height, 0.0, 0.0])
        .x_object(name);
    pdf.stream(content, &draw.finish());
    pdf.extend(&chunk);
    Ok(pdf.finish())
}

/// The SVG with text in the fonts that the program brings, so that a picture is the same on all machines.
fn tree(svg: &str) -> Result<Tree, usvg::Error> {
    let mut fonts = usvg::fontdb::Database::new();
    for font in [
        dejavu::sans::regular(),
        dejavu::sans::bold(),
        dejavu::sans_mono::regular(),
        dejavu::sans_mono::bold(),
    ] {
        fonts.load_font_data(font.to_vec());
    }
    fonts.set_sans_serif_family("DejaVu Sans");
    fonts.set_monospace_family("DejaVu Sans Mono");
    let options = usvg::Options {
        fontdb: Arc::new(fonts),
        ..usvg::Options::default()
    };
    Tree::from_str(svg, &options)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    const PICTURE: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 60 30\" width=\"60\" height=\"30\">\
        <style>.paper { fill: #ffffff; } .ink { fill: #1a1a1a; font: 12px monospace; }\
        @media (prefers-color-scheme: dark) { .paper { fill: #161616; } }</style>\
        <rect class=\"paper\" width=\"60\" height=\"30\"/><rect x=\"40\" width=\"20\" height=\"30\" fill=\"#0072b2\"/>\
        <text class=\"ink\" x=\"2\" y=\"20\">Wide</text></svg>";

    /// The colours in columns of a PNG of 120 x 60 pixels.
    fn colours(png: &[u8], columns: std::ops::Range<usize>) -> BTreeSet<[u8; 4]> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (120, 60));
        let rows = pixels.chunks(4 * 120);
        rows.flat_map(|row| row[4 * columns.start..4 * columns.end].chunks(4))
            .map(|colour| colour.try_into().unwrap())
            .collect()
    }

    #[test]
    fn a_png_has_the_pictures_colours_its_text_and_its_maker() {
        let png = to_png(PICTURE, "moe figure").unwrap();
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
        assert!(
            png[..100]
                .windows(19)
                .any(|part| part == b"Software\0moe figure")
        );
        // light whatever the viewer prefers: #ffffff left of the text and #0072b2 right of it
        assert_eq!(colours(&png, 0..2), BTreeSet::from([[255; 4]]));
        assert_eq!(
            colours(&png, 90..120),
            BTreeSet::from([[0, 0x72, 0xb2, 255]])
        );
        // ink, paper, and the greys of smooth edges
        assert!(colours(&png, 4..60).contains(&[0x1a, 0x1a, 0x1a, 255]));
        assert!(colours(&png, 4..60).len() > 10);
    }

    #[test]
    fn a_pdf_has_the_pictures_size_its_font_and_its_maker() {
        let pdf = to_pdf(PICTURE, "moe figure").unwrap();
        assert!(pdf.starts_with(b"%PDF-") && pdf.trim_ascii_end().ends_with(b"%%EOF"));
        let text = String::from_utf8_lossy(&pdf);
        let at = text.find("/Creator (moe figure)").unwrap();
        assert!(at < 100, "{at}");
        assert!(text.contains("/MediaBox [0 0 60 30]"));
        assert!(text.contains("DejaVuSans"), "text is text and not outlines");
    }

    #[test]
    fn what_is_no_picture_is_an_error() {
        assert!(matches!(to_png("mine", "m"), Err(DrawError::Svg(_))));
        let large = PICTURE.replace("60\" height=\"30\">", "60000000\" height=\"60000000\">");
        assert!(matches!(
            to_png(&large, "m"),
            Err(DrawError::TooLarge { .. })
        ));
    }
}
