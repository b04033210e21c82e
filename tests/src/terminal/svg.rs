//! Draws a captured terminal screen as an SVG picture.

use std::fmt::Write;

use super::{COLUMNS, ROWS};

const CELL: (f32, f32) = (8.4, 18.0);
const MARGIN: f32 = 12.0;
const INK: u32 = 0xd0d0d0;
const PAPER: u32 = 0x1c1c1c;
/// The sixteen named colours, as xterm has them but calmer.
const NAMED: [u32; 16] = [
    0x1c1c1c, 0xcc6666, 0x8fbf60, 0xd9a650, 0x4f7db5, 0xb689c8, 0x66b8b8, 0xc8c8c8, 0x707070,
    0xe88080, 0xa8d880, 0xf0c070, 0x8fb8f0, 0xd0a0e0, 0x80d8d8, 0xf0f0f0,
];

#[derive(Clone, Copy, PartialEq)]
struct Style {
    ink: u32,
    paper: u32,
    bold: bool,
    reverse: bool,
}

const PLAIN: Style = Style {
    ink: INK,
    paper: PAPER,
    bold: false,
    reverse: false,
};

/// Draws what `tmux capture-pane -e` gave.
pub fn draw(captured: &str, title: &str) -> String {
    let (width, height) = (
        CELL.0 * COLUMNS as f32 + 2.0 * MARGIN,
        CELL.1 * ROWS as f32 + 2.0 * MARGIN,
    );
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#{PAPER:06x}\"/>\n",
        escape(title)
    );
    let mut style = PLAIN;
    for (row, line) in captured.lines().take(ROWS).enumerate() {
        let mut column = 0;
        for (run_style, text) in runs(line, &mut style) {
            let cells = text.chars().map(cells).sum();
            run(&mut out, row, column, cells, &text, run_style);
            column += cells;
        }
    }
    out + "</svg>\n"
}

/// One stretch of text of one style.
fn run(out: &mut String, row: usize, column: usize, cells: usize, text: &str, style: Style) {
    let (ink, paper) = if style.reverse {
        (style.paper, style.ink)
    } else {
        (style.ink, style.paper)
    };
    let (x, y) = (
        MARGIN + CELL.0 * column as f32,
        MARGIN + CELL.1 * row as f32,
    );
    let width = CELL.0 * cells as f32;
    // Writing to a String cannot fail.
    if paper != PAPER {
        let height = CELL.1;
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"#{paper:06x}\"/>"
        );
    }
    if !text.trim().is_empty() {
        let weight = if style.bold {
            " font-weight=\"bold\""
        } else {
            ""
        };
        let baseline = y + 13.5;
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{baseline:.1}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\" fill=\"#{ink:06x}\"{weight}>{}</text>",
            escape(text)
        );
    }
}

/// Splits a line where its style changes. The style goes on into the next line.
fn runs(line: &str, style: &mut Style) -> Vec<(Style, String)> {
    let mut out: Vec<(Style, String)> = Vec::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if let Some((codes, after)) = rest.strip_prefix("\x1b[").and_then(|r| r.split_once('m')) {
            apply(codes, style);
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        if c.is_control() {
            continue;
        }
        match out.last_mut() {
            Some((last, text)) if last == style => text.push(c),
            _ => out.push((*style, c.to_string())),
        }
    }
    out
}

/// Select graphic rendition (ECMA-48 8.3.117), with 256 colours.
fn apply(codes: &str, style: &mut Style) {
    let mut codes = codes
        .split([';', ':'])
        .map(|c| c.parse::<u32>().unwrap_or(0));
    while let Some(code) = codes.next() {
        match code {
            0 => *style = PLAIN,
            1 => style.bold = true,
            22 => style.bold = false,
            7 => style.reverse = true,
            27 => style.reverse = false,
            30..=37 => style.ink = indexed(code - 30),
            90..=97 => style.ink = indexed(code - 90 + 8),
            40..=47 => style.paper = indexed(code - 40),
            100..=107 => style.paper = indexed(code - 100 + 8),
            39 => style.ink = INK,
            49 => style.paper = PAPER,
            38 | 48 => {
                let colour = match codes.next() {
                    Some(5) => indexed(codes.next().unwrap_or(0)),
                    Some(2) => (0..3).fold(0, |rgb, _| rgb << 8 | codes.next().unwrap_or(0) & 255),
                    _ => continue,
                };
                if code == 38 {
                    style.ink = colour;
                } else {
                    style.paper = colour;
                }
            }
            _ => {}
        }
    }
}

/// A colour of xterm's palette of 256.
fn indexed(index: u32) -> u32 {
    let cube = |level: u32| if level == 0 { 0 } else { 55 + 40 * level };
    match index {
        0..=15 => NAMED[index as usize],
        16..=231 => {
            let i = index - 16;
            cube(i / 36) << 16 | cube(i / 6 % 6) << 8 | cube(i % 6)
        }
        _ => (8 + 10 * (index.min(255) - 232)) * 0x01_01_01,
    }
}

/// Cells a character takes: two for East Asian wide ones (UAX #11, roughly).
fn cells(c: char) -> usize {
    let wide = matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0x1f300..=0x1f64f | 0x20000..=0x3fffd);
    1 + usize::from(wide)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_runs() {
        let mut style = PLAIN;
        let runs = runs(
            "a\x1b[31;1mb\x1b[38;5;16m\x1b[48;2;1;2;3mc\x1b[0md",
            &mut style,
        );
        let seen: Vec<_> = runs
            .iter()
            .map(|(s, t)| (t.as_str(), s.ink, s.paper, s.bold))
            .collect();
        assert_eq!(
            seen,
            [
                ("a", INK, PAPER, false),
                ("b", NAMED[1], PAPER, true),
                ("c", 0, 0x010203, true),
                ("d", INK, PAPER, false),
            ]
        );
    }

    #[test]
    fn text_is_escaped_and_wide_characters_take_two_cells() {
        let picture = draw("<你>", "t");
        assert!(picture.contains("&lt;你&gt;"));
        assert!(picture.contains(&format!("textLength=\"{:.1}\"", CELL.0 * 4.0)));
    }
}
