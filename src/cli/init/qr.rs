//! A link as a QR code in the terminal.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Renders the link as half blocks, black on white whatever the terminal's colours. Returns `None`
/// if the link is too long, or the code wider than `columns`.
pub(super) fn render(link: &str, columns: Option<u16>) -> Option<String> {
    let blocks = blocks(link)?;
    let width = blocks.lines().next()?.chars().count();
    if columns.is_some_and(|columns| usize::from(columns) < width) {
        return None;
    }
    let line = |line: &str| format!("\x1b[30;107m{line}\x1b[0m\n");
    Some(blocks.lines().map(line).collect())
}

/// Renders the code with its quiet zone: two rows of modules to a line, ink for dark ones. The
/// least error correction gives the smallest code, and a screen has no stains.
fn blocks(link: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(link, EcLevel::L).ok()?;
    Some(code.render::<Dense1x2>().dark_color(Dense1x2::Dark).light_color(Dense1x2::Light).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The modules of a rendered code as pixels, four to a side.
    fn decoded(rendered: &str) -> String {
        const SCALE: usize = 4;
        let rows: Vec<Vec<char>> = rendered
            .lines()
            .map(|line| {
                let line = line.strip_prefix("\x1b[30;107m").and_then(|line| line.strip_suffix("\x1b[0m"));
                line.expect("a line has the colours").chars().collect()
            })
            .collect();
        let is_dark = |x: usize, y: usize| match rows[y / 2][x] {
            '\u{2588}' => true,
            '\u{2580}' => y.is_multiple_of(2),
            '\u{2584}' => !y.is_multiple_of(2),
            other => {
                assert_eq!(other, ' ');
                false
            }
        };
        let (width, height) = (rows[0].len(), rows.len() * 2);
        let pixel = |x: usize, y: usize| if is_dark(x / SCALE, y / SCALE) { 0 } else { 255 };
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width * SCALE, height * SCALE, pixel);
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1, "one code is found");
        grids[0].decode().expect("it is read").1
    }

    #[test]
    fn a_scanner_reads_the_link() {
        for link in [
            "https://call.example.org/".to_owned(),
            format!(
                "https://call.example.org/?room=tea#token={}",
                "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.".repeat(7)
            ),
        ] {
            assert_eq!(decoded(&render(&link, None).unwrap()), link);
        }
    }

    #[test]
    fn a_code_that_does_not_fit_is_left_out() {
        let link = "https://call.example.org/";
        let width = blocks(link).unwrap().lines().next().unwrap().chars().count();
        let width = u16::try_from(width).unwrap();
        assert!(render(link, Some(width)).is_some());
        assert_eq!(render(link, Some(width - 1)), None);
        assert_eq!(render(&"a".repeat(3000), None), None);
    }
}
