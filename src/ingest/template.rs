//! Launch templates: text with `{name}` places, filled with values of harmless letters only. Secrets never come here.

use std::path::Path;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TemplateError {
    #[error("pipeline {name}: no value for {{{place}}}")]
    Unfilled { name: String, place: String },
    #[error("pipeline {name}: the value {value:?} of {{{place}}} holds letters that are not allowed")]
    Letters { name: String, place: String, value: String },
    #[error("pipeline {name}: element {element:?} is not on the list of allowed elements")]
    Element { name: String, element: String },
    #[error("pipeline {name}: {why}")]
    File { name: String, why: String },
}

/// Elements that a template may name.
const ALLOWED: &[&str] = &[
    "queue",
    "identity",
    "videoflip",
    "videoconvertscale",
    "videoconvert",
    "videoscale",
    "capsfilter",
    "appsink",
    "audioconvert",
    "audioresample",
    "rtph264depay",
    "rtph265depay",
    "rtpjpegdepay",
    "h264parse",
    "h265parse",
    "jpegparse",
    "jpegdec",
    "avdec_h264",
    "avdec_h265",
    "openh264dec",
    "nvh264dec",
    "nvh265dec",
    "nvjpegdec",
    "cudadownload",
    "vah264dec",
    "vah265dec",
    "vapostproc",
    "v4l2h264dec",
    "v4l2h265dec",
    "rtpmp4gdepay",
    "rtpmp4adepay",
    "rtppcmudepay",
    "rtppcmadepay",
    "rtpopusdepay",
    "aacparse",
    "opusparse",
    "avdec_aac",
    "faad",
    "mulawdec",
    "alawdec",
    "opusdec",
];

const BUILT_IN: &[(&str, &str)] = &[
    ("video", include_str!("../../pipelines/video.launch")),
    ("audio", include_str!("../../pipelines/audio.launch")),
    ("file_video", include_str!("../../pipelines/file_video.launch")),
    ("file_audio", include_str!("../../pipelines/file_audio.launch")),
];

/// The template `name`, from `dir/name.launch` if it is there, else the built-in one, with its places filled.
pub fn fill(name: &str, dir: Option<&Path>, values: &[(&str, &str)]) -> Result<String, TemplateError> {
    let text = match dir.map(|d| d.join(format!("{name}.launch"))).filter(|p| p.exists()) {
        Some(path) => std::fs::read_to_string(&path).map_err(|e| TemplateError::File {
            name: name.into(),
            why: format!("{}: {e}", path.display()),
        })?,
        None => BUILT_IN
            .iter()
            .find(|(n, _)| *n == name)
            .map_or("", |(_, text)| text)
            .to_owned(),
    };
    let filled = substitute(name, text.trim(), values)?;
    for part in filled.split('!') {
        let element = part.split_whitespace().next().unwrap_or("");
        if !ALLOWED.contains(&element) {
            return Err(TemplateError::Element {
                name: name.into(),
                element: element.into(),
            });
        }
    }
    Ok(filled)
}

fn substitute(name: &str, text: &str, values: &[(&str, &str)]) -> Result<String, TemplateError> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (place, tail) = after.split_once('}').unwrap_or((after, ""));
        let unfilled = || TemplateError::Unfilled {
            name: name.into(),
            place: place.into(),
        };
        let (_, value) = values.iter().find(|(k, _)| *k == place).ok_or_else(unfilled)?;
        let harmless = |c: char| c.is_ascii_alphanumeric() || "_-=., !".contains(c);
        if !value.chars().all(harmless) {
            return Err(TemplateError::Letters {
                name: name.into(),
                place: place.into(),
                value: (*value).into(),
            });
        }
        out.push_str(before);
        out.push_str(value);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_template_fills() {
        let audio = [
            ("depay", "rtpopusdepay"),
            ("parse", "opusparse"),
            ("decoder", "opusdec"),
        ];
        assert!(fill("audio", None, &audio).unwrap().contains("opusdec ! audioconvert"));
        assert!(
            fill("file_video", None, &[("sync", "false")])
                .unwrap()
                .contains("sync=false")
        );
    }

    #[test]
    fn a_missing_value_or_a_quote_or_a_strange_element_is_refused() {
        let unfilled = TemplateError::Unfilled {
            name: "audio".into(),
            place: "depay".into(),
        };
        assert_eq!(fill("audio", None, &[]), Err(unfilled));
        let quote = fill("file_video", None, &[("sync", "false\" ! filesink")]);
        assert!(matches!(quote, Err(TemplateError::Letters { .. })));
        let sink = fill("file_video", None, &[("sync", "false ! filesink location=x")]);
        assert!(matches!(sink, Err(TemplateError::Element { .. })));
    }
}
