//! A report as one HTML file: no script, nothing that is fetched, readable from disk, on a phone and in the dark.

use std::fmt::Write;

use super::gallery::Gallery;
use super::{Block, Cell, Figure, Report, Section, Table, Tone};

/// Colours and sizes of the page; it also recolours the pictures for a dark screen.
const STYLE: &str = include_str!("style.css");

/// The page.
pub(super) fn html(report: &Report) -> String {
    let title = escaped(&report.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\"/>\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n"
    );
    // Writing to a String cannot fail, here and below.
    for sentence in &report.lead {
        let _ = writeln!(page, "<p class=\"lead\">{}</p>", escaped(sentence));
    }
    page.push_str("<nav aria-label=\"Contents\"><ul>\n");
    for (index, section) in report.sections.iter().enumerate() {
        let _ = writeln!(page, "<li><a href=\"#part-{index}\">{}</a></li>", escaped(&section.title));
    }
    page.push_str("</ul></nav>\n</header>\n<main>\n");
    for (index, section) in report.sections.iter().enumerate() {
        add_section(&mut page, index, section);
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// Text as it stands between tags and in attributes. Characters that no XML may hold become replacement characters.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(character),
            '\u{FFFE}' | '\u{FFFF}' => escaped.push(char::REPLACEMENT_CHARACTER),
            other if other.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            other => escaped.push(other),
        }
    }
    escaped
}

fn add_section(page: &mut String, index: usize, section: &Section) {
    let _ = writeln!(page, "<section id=\"part-{index}\">\n<h2>{}</h2>", escaped(&section.title));
    for block in &section.blocks {
        match block {
            Block::Text(text) => {
                let _ = writeln!(page, "<p>{}</p>", escaped(text));
            }
            Block::Table(table) => add_table(page, table),
            Block::Figure(figure) => add_figure(page, figure),
            Block::Gallery(gallery) => add_gallery(page, gallery),
        }
    }
    page.push_str("</section>\n");
}

fn add_table(page: &mut String, table: &Table) {
    let name = escaped(&table.name);
    let _ = writeln!(page, "<div class=\"wide\" tabindex=\"0\"><table aria-describedby=\"about-{name}\">");
    page.push_str("<thead><tr>");
    let is_text = |column: usize| table.rows.iter().any(|row| row[column].text.contains(char::is_alphabetic));
    for (column, name) in table.head.iter().enumerate() {
        let class = if is_text(column) { " class=\"text\"" } else { "" };
        let _ = write!(page, "<th scope=\"col\"{class}>{}</th>", escaped(name));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        page.push_str("<tr>");
        for (column, Cell { text, tone }) in row.iter().enumerate() {
            let (open, close) = if column == 0 { ("th scope=\"row\"", "th") } else { ("td", "td") };
            let class = match tone {
                Tone::Plain if is_text(column) => " class=\"text\"",
                Tone::Plain => "",
                Tone::Good => " class=\"text good\"",
                Tone::Bad => " class=\"text bad\"",
                Tone::Aside => " class=\"text aside\"",
            };
            let _ = write!(page, "<{open}{class}>{}</{close}>", escaped(text));
        }
        page.push_str("</tr>\n");
    }
    let (caption, link) = (escaped(&table.caption), file_link(&table.name, "csv"));
    let _ = writeln!(page, "</tbody></table></div>\n<p class=\"about\" id=\"about-{name}\">{caption} {link}</p>");
}

fn add_figure(page: &mut String, figure: &Figure) {
    let _ = writeln!(page, "<figure>\n<h3>{}</h3>", escaped(&figure.title));
    let _ = writeln!(page, "<div class=\"picture wide\" tabindex=\"0\">{}</div>", inline(figure));
    let links = format!("{} {}", file_link(&figure.name, "svg"), file_link(&figure.name, "csv"));
    let _ = writeln!(page, "<figcaption>{} {links}</figcaption>\n</figure>", escaped(&figure.caption));
}

/// The picture as a part of the page: with a name for those who do not see it, without a namespace, which HTML knows.
fn inline(figure: &Figure) -> String {
    let label = escaped(&figure.title);
    let opening = format!("<svg role=\"img\" aria-label=\"{label}\" ");
    let named = figure.svg.replacen("<svg ", &opening, 1).replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1);
    named.replacen(">\n", &format!(">\n<title>{label}</title>\n"), 1)
}

fn add_gallery(page: &mut String, gallery: &Gallery) {
    let caption = escaped(&gallery.caption);
    let _ = writeln!(page, "<p>{caption} {}</p>\n<div class=\"gallery\">", file_link(&gallery.name, "csv"));
    for entry in &gallery.entries {
        page.push_str("<figure class=\"exhibit\"><div class=\"photos\">\n");
        for photo in &entry.photos {
            let (alt, (width, height)) = (escaped(&photo.alt), photo.size);
            let _ = writeln!(
                page,
                "<div><img src=\"data:image/jpeg;base64,{}\" alt=\"{alt}\" width=\"{width}\" height=\"{height}\"/>\
                 <small>{}</small></div>",
                photo.base64,
                escaped(&photo.label)
            );
        }
        let _ = writeln!(
            page,
            "</div><figcaption><strong>{}</strong> {}</figcaption></figure>",
            escaped(&entry.name),
            escaped(&entry.text)
        );
    }
    page.push_str("</div>\n");
}

/// The file beside the page.
fn file_link(name: &str, ending: &str) -> String {
    format!("<a href=\"{0}.{ending}\">{0}.{ending}</a>", escaped(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_a_tag() {
        assert_eq!(escaped("<b a=\"x\">'&\u{1b}\n"), "&lt;b a=&quot;x&quot;&gt;&#39;&amp;\u{FFFD}\n");
        let report = Report { title: "</title><script>".into(), lead: vec!["a < b".into()], sections: Vec::new() };
        let page = html(&report);
        assert!(!page.contains("<script") && page.contains("a &lt; b"), "{page}");
    }
}
