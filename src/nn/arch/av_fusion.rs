//! Joins the embeddings of picture and sound, in one of four ways. A modality that is missing is a learned token. The
//! recipe is `models/training/av_fight`.

use candle_core::{D, Tensor};
use serde::Deserialize;

use crate::nn::ModelError;
use crate::nn::layers::Linear;
use crate::nn::weights::Weights;

/// How the two are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Each modality's own log-odds, added up.
    Sum,
    /// One layer over both.
    Concat,
    /// How much each is looked at is told by both.
    Attention,
    /// The sound opens and closes the picture's channels.
    Gated,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::nn) struct Config {
    /// The one that is used unless another is asked for; the weights hold all of them.
    pub method: Method,
    /// Lengths of the embeddings, and of what they become.
    pub video: usize,
    pub audio: usize,
    pub width: usize,
}

impl Method {
    pub const ALL: [(&str, Self); 4] = [
        ("sum", Self::Sum),
        ("concat", Self::Concat),
        ("attention", Self::Attention),
        ("gated", Self::Gated),
    ];
}

pub(in crate::nn) struct AvFusion {
    video: Linear,
    audio: Linear,
    no_video: Tensor,
    no_audio: Tensor,
    join: Join,
}

enum Join {
    Sum { video: Linear, audio: Linear },
    Concat { joint: Linear, out: Linear },
    Attention { query: Linear, out: Linear },
    Gated { gate: Linear, out: Linear },
}

impl AvFusion {
    /// Tensors are named `{prefix}.…`.
    pub fn new(w: &Weights, prefix: &str, method: Method, config: &Config) -> Result<Self, ModelError> {
        let n = config.width;
        let linear = |name: &str, ins, outs| Linear::new(w, &format!("{prefix}.{name}"), ins, outs);
        let token = |name: &str| Ok::<_, ModelError>(w.tensor(&format!("{prefix}.{name}"), &[n])?.unsqueeze(0)?);
        let out = |ins| linear("out", ins, 1);
        let join = match method {
            Method::Sum => Join::Sum {
                video: linear("video_out", n, 1)?,
                audio: linear("audio_out", n, 1)?,
            },
            Method::Concat => Join::Concat {
                joint: linear("joint", 2 * n, n)?,
                out: out(n)?,
            },
            Method::Attention => Join::Attention {
                query: linear("query", 2 * n, 2)?,
                out: out(n)?,
            },
            Method::Gated => Join::Gated {
                gate: linear("gate", n, n)?,
                out: out(n)?,
            },
        };
        Ok(Self {
            video: linear("video", config.video, n)?,
            audio: linear("audio", config.audio, n)?,
            no_video: token("no_video")?,
            no_audio: token("no_audio")?,
            join,
        })
    }

    /// `[1, video]` and `[1, audio]`, or None where it is missing → log-odds `[1, 1]`.
    pub fn forward(&self, video: Option<&Tensor>, audio: Option<&Tensor>) -> candle_core::Result<Tensor> {
        let part = |layer: &Linear, x: Option<&Tensor>, missing: &Tensor| match x {
            Some(x) => layer.forward(x)?.relu(),
            None => Ok(missing.clone()),
        };
        let v = part(&self.video, video, &self.no_video)?;
        let a = part(&self.audio, audio, &self.no_audio)?;
        let both = || Tensor::cat(&[&v, &a], 1);
        match &self.join {
            Join::Sum {
                video: v_out,
                audio: a_out,
            } => {
                let term =
                    |layer: &Linear, x: &Tensor, there: bool| layer.forward(x)?.affine(f64::from(u8::from(there)), 0.0);
                term(v_out, &v, video.is_some())? + term(a_out, &a, audio.is_some())?
            }
            Join::Concat { joint, out } => out.forward(&joint.forward(&both()?)?.relu()?),
            Join::Attention { query, out } => {
                let w = candle_nn::ops::softmax(&query.forward(&both()?)?, D::Minus1)?;
                let x = (v.broadcast_mul(&w.narrow(1, 0, 1)?)? + a.broadcast_mul(&w.narrow(1, 1, 1)?)?)?;
                out.forward(&x)
            }
            Join::Gated { gate, out } => {
                let opened = (candle_nn::ops::sigmoid(&gate.forward(&a)?)? * 2.0)?;
                out.forward(&(opened * v)?)
            }
        }
    }
}
