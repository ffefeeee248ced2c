//! A small check of pages: tags that match, and nothing that reaches outside.

/// Elements without an end.
const VOID: [&str; 3] = ["meta", "br", "img"];

/// Panics unless every tag is closed in order, every attribute quoted, and every `&` a known name; returns
/// the number of elements.
pub fn check_markup(page: &str) -> usize {
    let (doctype, mut rest) = page.split_once('\n').unwrap();
    assert_eq!(doctype, "<!DOCTYPE html>");
    let (mut open, mut n_elements) = (Vec::new(), 0);
    while let Some(start) = rest.find('<') {
        check_text(&rest[..start], open.last().copied());
        let end = start
            + rest[start..]
                .find('>')
                .unwrap_or_else(|| panic!("an open tag: {rest}"));
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(
                open.pop(),
                Some(name),
                "closed out of order before {:.80}",
                rest
            );
            continue;
        }
        n_elements += 1;
        let name = tag.split([' ', '/']).next().unwrap();
        assert!(
            tag.matches('"').count().is_multiple_of(2),
            "a quote is open in <{tag}>"
        );
        check_attributes(tag);
        if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    n_elements
}

fn check_text(text: &str, inside: Option<&str>) {
    if inside == Some("style") {
        return;
    }
    for (at, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;"];
        assert!(
            known.iter().any(|name| text[at..].starts_with(name)),
            "{text}"
        );
    }
}

/// Every value is in double quotes: outside of them each `=` stands before one.
fn check_attributes(tag: &str) {
    let outside: Vec<&str> = tag.split('"').step_by(2).collect();
    let (last, before) = outside.split_last().unwrap();
    assert!(!last.contains('='), "a value without quotes in <{tag}>");
    for part in before {
        let is_one = part.ends_with('=') && part.matches('=').count() == 1;
        assert!(is_one, "not name=\"value\" in <{tag}>");
    }
}

/// The page without the pictures that it holds itself, `href="data:image/png;base64,..."`.
fn without_own_pictures(page: &str) -> String {
    const START: &str = "href=\"data:image/png;base64,";
    let mut parts = page.split(START);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| {
        let (picture, rest) = part.split_once('"').unwrap();
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
        assert!(
            picture.len() > 40 && picture.chars().all(is_base64),
            "{picture:.60}"
        );
        kept + rest
    })
}

/// Panics if the page could run or fetch something.
pub fn check_stands_alone(page: &str) {
    let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    let page = without_own_pictures(&page);
    for part in [
        "<script", "http:", "https:", "//", "@import", "src=", "<link", "<iframe", "onload=",
    ] {
        assert!(!page.contains(part), "{part} in the page");
    }
    for (at, _) in page.match_indices("href=") {
        assert!(page[at..].starts_with("href=\"#"), "{:.60}", &page[at..]);
    }
    assert!(!page.contains("url("), "an address in a style");
    for part in [
        "prefers-color-scheme: dark",
        "name=\"viewport\"",
        "lang=\"en\"",
        "<title>",
    ] {
        assert!(page.contains(part), "no {part}");
    }
}

#[test]
fn the_check_bites() {
    let page = |body: &str| format!("<!DOCTYPE html>\n<body>{body}</body>\n");
    assert_eq!(check_markup(&page("<p class=\"a b\">x &amp; y</p>")), 2);
    for wrong in [
        "<p>",
        "</p>",
        "<b><i></b></i>",
        "<p class=a></p>",
        "a & b",
        "<p a=\"></p>",
        "<p hidden=\"\" x\"\"></p>",
    ] {
        let checked = std::panic::catch_unwind(|| check_markup(&page(wrong)));
        assert!(checked.is_err(), "{wrong} passes");
    }
}
