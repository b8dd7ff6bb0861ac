//! The content of one message: a text, or a list of parts.

use serde_json::value::RawValue;

use super::block::Block;
use super::fields::{Untranslatable, read};
use super::image;
use super::wire::Part;
use crate::ai::reading::lenient::Text;

/// Blocks of the content at `param`. Blank texts, which Anthropic refuses, are left out.
pub(super) fn blocks<'a>(content: &'a RawValue, param: &str) -> Result<Vec<Block<'a>>, Untranslatable> {
    let place = || param.to_owned();
    if content.get().starts_with('"') {
        let text: Option<Text> = read(content, place)?;
        return Ok(text.into_iter().filter_map(|text| non_blank(text, None)).collect());
    }
    if !content.get().starts_with('[') {
        return Err(Untranslatable::invalid(param, "neither a text nor a list of parts"));
    }
    let parts: Vec<&RawValue> = read(content, place)?.unwrap_or_default();
    let mut blocks = Vec::with_capacity(parts.len());
    for (at, part) in parts.into_iter().enumerate() {
        blocks.extend(block(part, &format!("{param}[{at}]"))?);
    }
    Ok(blocks)
}

fn block<'a>(part: &'a RawValue, param: &str) -> Result<Option<Block<'a>>, Untranslatable> {
    let Some(part) = read::<Part<'_>>(part, || param.to_owned())? else {
        return Err(Untranslatable::invalid(param, "null"));
    };
    let lacking = |field: &str| Untranslatable::invalid(format!("{param}.{field}"), "it is missing");
    let cache_control = part.cache_control;
    match part.part_type.as_str() {
        "text" => Ok(non_blank(part.text.ok_or_else(|| lacking("text"))?, cache_control)),
        "refusal" => Ok(non_blank(part.refusal.ok_or_else(|| lacking("refusal"))?, cache_control)),
        "image_url" => {
            let url = part.image_url.ok_or_else(|| lacking("image_url"))?.url;
            let source = image::image(url, || format!("{param}.image_url.url"))?;
            Ok(Some(Block::Image { source, cache_control }))
        }
        "file" => {
            let file = part.file.ok_or_else(|| lacking("file"))?;
            let place = || format!("{param}.file");
            let data = file.file_data.ok_or_else(|| {
                Untranslatable::unsupported(
                    place(),
                    "only files within the request are read, not stored ones",
                )
            })?;
            let source = image::file(data, place)?;
            Ok(Some(Block::Document { source, title: file.filename, cache_control }))
        }
        other => Err(Untranslatable::unsupported(format!("{param}.type"), &format!("there is no {other:?}"))),
    }
}

fn non_blank<'a>(text: Text, cache_control: Option<&'a RawValue>) -> Option<Block<'a>> {
    let Text(text) = text;
    (!text.trim().is_empty()).then_some(Block::Text { text, cache_control })
}
