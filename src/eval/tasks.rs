//! The tasks that models are measured for: one line here and one small file each.

mod action;
mod av_fight;
mod detector;
mod face;
mod face_emotion;
mod sound;
mod speech_emotion;

use super::{Job, Outcome};

/// How the models of a task are measured.
pub(super) struct Task {
    /// As a manifest says it.
    pub name: &'static str,
    /// The model takes both sound and picture, so that one can be dropped.
    pub both: bool,
    pub evaluate: fn(&mut Job) -> anyhow::Result<Outcome>,
}

pub(super) const TASKS: &[Task] = &[
    Task {
        name: "action",
        both: false,
        evaluate: action::evaluate,
    },
    Task {
        name: "av_fight",
        both: true,
        evaluate: av_fight::evaluate,
    },
    Task {
        name: "detector",
        both: false,
        evaluate: detector::evaluate,
    },
    Task {
        name: "face",
        both: false,
        evaluate: face::evaluate,
    },
    Task {
        name: "face_emotion",
        both: false,
        evaluate: face_emotion::evaluate,
    },
    Task {
        name: "sound",
        both: false,
        evaluate: sound::evaluate,
    },
    Task {
        name: "speech_emotion",
        both: false,
        evaluate: speech_emotion::evaluate,
    },
];
