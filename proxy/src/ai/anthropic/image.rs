//! Images and files of a message: by address, or within the request as a data URL.

use std::borrow::Cow;

use super::block::Source;
use super::fields::Untranslatable;

const PDF: &str = "application/pdf";

/// The source of an image. Anthropic reads JPEG, PNG, GIF and WebP.
pub(super) fn image(url: Cow<'_, str>, param: impl Fn() -> String) -> Result<Source<'_>, Untranslatable> {
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(Source::Url { url });
    }
    let Some((media_type, start)) = data_url(&url) else {
        return Err(Untranslatable::invalid(param(), "neither an http(s) URL nor a base64 data URL"));
    };
    let media_type = match media_type {
        "image/jpeg" | "image/jpg" => "image/jpeg",
        "image/png" => "image/png",
        "image/gif" => "image/gif",
        "image/webp" => "image/webp",
        other => {
            return Err(Untranslatable::unsupported(
                param(),
                &format!("images of type {other:?} are not read"),
            ));
        }
    };
    Ok(Source::Base64 { media_type, data: from(url, start) })
}

/// The source of a file, which must be a PDF.
pub(super) fn file(data: Cow<'_, str>, param: impl Fn() -> String) -> Result<Source<'_>, Untranslatable> {
    match data_url(&data) {
        Some((PDF, start)) => Ok(Source::Base64 { media_type: PDF, data: from(data, start) }),
        _ => Err(Untranslatable::unsupported(param(), "only PDF files as base64 data URLs are read")),
    }
}

/// The media type of a base64 data URL, and where its data begins.
fn data_url(url: &str) -> Option<(&str, usize)> {
    let (head, _) = url.split_once(',')?;
    let media = head.strip_prefix("data:")?.strip_suffix(";base64")?;
    let media_type = media.split(';').next().unwrap_or(media);
    Some((media_type, head.len() + 1))
}

fn from(text: Cow<'_, str>, start: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(start..).unwrap_or_default()),
        Cow::Owned(mut text) => {
            text.drain(..start);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let image_cases = [
            ("https://x.test/a.png", Ok(r#"{"type":"url","url":"https://x.test/a.png"}"#)),
            ("data:image/png;base64,AAAA", Ok(r#"{"type":"base64","media_type":"image/png","data":"AAAA"}"#)),
            (
                "data:image/jpg;base64,QQ==",
                Ok(r#"{"type":"base64","media_type":"image/jpeg","data":"QQ=="}"#),
            ),
            (
                "data:image/webp;charset=x;base64,",
                Ok(r#"{"type":"base64","media_type":"image/webp","data":""}"#),
            ),
            ("data:image/svg+xml;base64,AAAA", Err("unsupported_parameter")),
            ("data:image/png,raw", Err("")),
            ("file:///etc/passwd", Err("")),
            ("", Err("")),
        ];
        for (url, expected) in image_cases {
            for text in [Cow::Borrowed(url), Cow::Owned(url.to_owned())] {
                let source = image(text, || "p".to_owned());
                let found = source.map(|source| serde_json::to_string(&source).unwrap());
                let found = found.as_deref().map_err(|error| error.code.unwrap_or_default());
                assert_eq!(found, expected, "{url}");
            }
        }
        assert!(file(Cow::Borrowed("data:application/pdf;base64,AA"), String::new).is_ok());
        assert!(file(Cow::Borrowed("data:text/plain;base64,AA"), String::new).is_err());
    }
}
