//! Tables that are right key by key and do nothing together.

use super::*;

const ZONE: &str = "polygon = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]";
const LINE: &str = "from = [0.5, 1.0]\nto = [0.5, 0.0]";

fn camera(rest: &str) -> Loaded {
    load_one(&format!("[[camera]]\nid = \"a\"\nurl = \"rtsp://10.0.0.1/x\"\n{rest}")).unwrap()
}

#[test]
fn what_can_never_fire_is_warned_of() {
    for (rest, said) in [
        (
            format!(
                "kinds = [\"intrusion\"]\n[[camera.zone]]\nname = \"z\"\nkinds = [\"intrusion\", \"crowd\"]\n{ZONE}"
            ),
            "crowd is not among the camera's kinds",
        ),
        (
            format!(
                "kinds = [\"crowd\"]\n[[camera.zone]]\nname = \"z\"\nkinds = [\"crowd\"]\nclasses = [\"car\"]\n{ZONE}"
            ),
            "\"car\" is not among the classes",
        ),
        ("kinds = [\"fall\"]\ndetect = [\"car\"]".into(), "fall is about persons"),
        (
            "kinds = [\"loitering\"]".into(),
            "loitering never fires: it needs a zone",
        ),
        (
            "kinds = [\"line_crossing\"]".into(),
            "line_crossing never fires: it needs a line",
        ),
        (
            "kinds = [\"wrong_way\"]".into(),
            "wrong_way never fires: it needs a zone or line",
        ),
        (
            format!("kinds = [\"siren\"]\n[[camera.line]]\nname = \"l\"\n{LINE}"),
            "line \"l\" does nothing",
        ),
        (
            format!("[[camera.line]]\nname = \"l\"\nway = \"left_to_right\"\n{LINE}"),
            "the line's `way` does nothing",
        ),
        (
            format!(
                "kinds = [\"intrusion\", \"fall\"]\n[[camera.zone]]\nname = \"z\"\n{ZONE}\n\
                 [[camera.rule]]\nkind = \"fall\"\nzone = \"z\""
            ),
            "\"z\" tells of no fall",
        ),
    ] {
        let loaded = camera(&rest);
        assert!(loaded.camera_errors.is_empty(), "{rest}: {:?}", loaded.camera_errors);
        let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert!(
            warnings.len() == 1 && warnings[0].contains(said),
            "{rest}: {warnings:?}"
        );
    }
}

#[test]
fn what_fits_is_not_warned_of() {
    for rest in [
        String::new(),
        format!("[[camera.zone]]\nname = \"z\"\n{ZONE}\n[[camera.line]]\nname = \"l\"\n{LINE}"),
        format!("kinds = [\"wrong_way\"]\n[[camera.line]]\nname = \"l\"\nway = \"left_to_right\"\n{LINE}"),
        format!(
            "kinds = [\"intrusion\", \"fall\"]\ndetect = [\"person\", \"car\"]\n\
             [[camera.zone]]\nname = \"z\"\nclasses = [\"car\"]\n{ZONE}\n[[camera.rule]]\nkind = \"intrusion\"\nzone = \"z\""
        ),
    ] {
        assert_eq!(camera(&rest).warnings.len(), 0, "{rest}: {:?}", camera(&rest).warnings);
    }
}

#[test]
fn two_of_one_name_and_heights_that_nothing_has_are_errors() {
    for (rest, said) in [
        (
            format!("[[camera.zone]]\nname = \"z\"\n{ZONE}\n[[camera.line]]\nname = \"z\"\n{LINE}"),
            "two zones or lines called \"z\"",
        ),
        (
            format!("[[camera.zone]]\nname = \"z\"\nmin_height = 0.5\nmax_height = 0.2\n{ZONE}"),
            "min_height is above max_height",
        ),
        (
            "kinds = [\"running\"]\nanalysis_fps = 2.0".into(),
            "running needs 3 at least",
        ),
    ] {
        let errors = camera(&rest).camera_errors;
        assert!(
            errors.len() == 1 && errors[0].message.contains(said),
            "{rest}: {errors:?}"
        );
    }
}

#[test]
fn a_kind_that_no_zone_or_line_tells_of_is_refused_there() {
    let zone = |kinds: &str, rule: &str| format!("[[camera.zone]]\nname = \"z\"\n{kinds}{ZONE}\n{rule}");
    let rule =
        |kind: &str, of: &str| format!("[[camera.rule]]\nkind = \"{kind}\"\nzone = \"{of}\"\nseverity = \"info\"");
    for (rest, line, said) in [
        (
            zone("kinds = [\"line_crossing\"]\n", ""),
            6,
            "it needs a [[camera.line]]",
        ),
        (
            zone("kinds = [\"intrusion\", \"gunshot\"]\n", ""),
            6,
            "no zone tells of gunshot, which counts everywhere: name it in the camera's `kinds`",
        ),
        (
            zone("", &rule("line_crossing", "z")),
            9,
            "only lines tell of line_crossing, and `z` is a zone",
        ),
        (zone("", &rule("gunshot", "z")), 9, "it takes a rule without a zone"),
        (
            format!("[[camera.line]]\nname = \"l\"\n{LINE}\n{}", rule("intrusion", "l")),
            10,
            "only zones tell of intrusion, and `l` is a line",
        ),
    ] {
        let errors = camera(&rest).camera_errors;
        assert!(
            errors.len() == 1 && errors[0].message.contains(said) && errors[0].line == line,
            "{rest}: {errors:?}"
        );
    }
}

#[test]
fn the_reference_names_the_kinds_that_zones_tell_of() {
    let reference = markdown();
    let row = reference.lines().find(|l| l.contains("What counts here")).unwrap();
    for kind in crate::data::Kind::ALL {
        let named = row.contains(&format!("`{kind}`"));
        assert_eq!(named, rules::OF_ZONES.contains(kind), "{kind}");
    }
}

#[test]
fn an_empty_list_of_classes_is_every_one_that_is_looked_for() {
    let loaded = camera(&format!(
        "detect = [\"person\", \"car\"]\n[[camera.zone]]\nname = \"z\"\nclasses = []\nmin_score = 0.6\n{ZONE}"
    ));
    let zone = &loaded.config.cameras[0].behaviour.zones[0];
    assert_eq!(zone.min_score, [("person".into(), 0.6), ("car".into(), 0.6)]);
}
