//! Embeddings of picture and sound → what both together say.

use std::path::Path;

use candle_core::{Device, Tensor};

use super::arch::av_fusion::{AvFusion, Config, Method};
use super::check::{Checkable, Golden};
use super::loaded::{Loaded, described};
use super::{DeviceChoice, ModelError};

/// A small head over the embeddings of the clip model and of the sound model.
pub struct AvModel {
    loaded: Loaded<Ways>,
    config: Config,
}

/// The ways to join that the weights hold, and the one that is asked.
struct Ways {
    all: Vec<(&'static str, AvFusion)>,
    chosen: usize,
}

impl AvModel {
    /// Loads the model of a folder. `method`: how the two are joined; None takes the manifest's way. It is too
    /// small to gain by a device other than the CPU, or by threads.
    ///
    /// # Errors
    /// The folder's files are missing, damaged, or of another architecture.
    pub fn load(dir: &Path, method: Option<Method>) -> Result<Self, ModelError> {
        let mut config = None;
        let loaded = Loaded::open(
            dir,
            ("av_fight", "av_fusion"),
            DeviceChoice::Cpu,
            1,
            |weights, manifest| {
                if manifest.labels.len() != 2 || &*manifest.labels[0].name != "fight" {
                    return Err(ModelError::File {
                        path: dir.join("model.toml"),
                        why: "it needs two [[label]], `fight` first".into(),
                    });
                }
                let own: Config = manifest.config()?;
                let method = method.unwrap_or(own.method);
                let one = |(name, each)| Ok::<_, ModelError>((name, AvFusion::new(weights, name, each, &own)?));
                let all = Method::ALL.into_iter().map(one).collect::<Result<_, _>>()?;
                let chosen = Method::ALL.iter().position(|(_, each)| *each == method);
                let chosen = chosen.ok_or_else(|| ModelError::Compute("no such way to join".into()))?;
                config = Some(own);
                Ok(Ways { all, chosen })
            },
        )?;
        let config = config.ok_or_else(|| ModelError::Compute("the network was not built".into()))?;
        Ok(Self { loaded, config })
    }

    /// Of the embeddings that it takes: the clip's and the sound's.
    pub fn lengths(&self) -> (usize, usize) {
        (self.config.video, self.config.audio)
    }

    /// Log-odds of the first label. What is None is missing.
    ///
    /// # Errors
    /// An embedding has another length than the head was trained for: it is another model's; a value or the
    /// answer is no number.
    pub fn log_odds(&self, video: Option<&[f32]>, audio: Option<&[f32]>) -> Result<f32, ModelError> {
        let ways = &self.loaded.net;
        self.joined(&ways.all[ways.chosen].1, video, audio)
    }

    fn joined(&self, net: &AvFusion, video: Option<&[f32]>, audio: Option<&[f32]>) -> Result<f32, ModelError> {
        let tensor = |x: Option<&[f32]>, length: usize, whose: &str| {
            let Some(x) = x else { return Ok(None) };
            if x.len() != length {
                return Err(ModelError::Compute(format!(
                    "{} takes {length} values of the {whose} model, but got {}: it was trained beside another one",
                    self.loaded.id,
                    x.len()
                )));
            }
            // A rectifier would turn what is no number into a plausible answer.
            if !x.iter().all(|v| v.is_finite()) {
                return Err(ModelError::Compute(format!(
                    "{} was given NaN or infinity by the {whose} model",
                    self.loaded.id
                )));
            }
            Ok(Some(Tensor::from_slice(x, (1, length), &Device::Cpu)?))
        };
        let video = tensor(video, self.config.video, "clip")?;
        let audio = tensor(audio, self.config.audio, "sound")?;
        let out = net.forward(video.as_ref(), audio.as_ref())?;
        let odds = out.flatten_all()?.to_vec1::<f32>()?;
        match odds.first() {
            Some(odds) if odds.is_finite() => Ok(*odds),
            _ => Err(ModelError::NotFinite(self.loaded.id.clone())),
        }
    }
}

described!(AvModel, loaded);

impl Checkable for AvModel {
    fn example(&self) -> Result<(), ModelError> {
        let (video, audio) = (vec![0.5; self.config.video], vec![0.5; self.config.audio]);
        self.log_odds(Some(&video), Some(&audio)).map(|_| ())
    }

    /// The input is both embeddings, the clip's first; each way's answer with both, without sound, without picture,
    /// with none.
    fn answers(&self, golden: &Golden) -> Result<Vec<(&'static str, Vec<f32>)>, ModelError> {
        let (_, values) = golden.input()?;
        let (video, audio) = values.split_at(self.config.video.min(values.len()));
        let there = [(true, true), (true, false), (false, true), (false, false)];
        let answer = |(name, net): &(&'static str, AvFusion)| {
            let odds = there.map(|(v, a)| self.joined(net, v.then_some(video), a.then_some(audio)));
            Ok((*name, odds.into_iter().collect::<Result<_, _>>()?))
        };
        self.loaded.net.all.iter().map(answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::shipped;

    #[test]
    fn odd_embeddings_get_a_finite_answer_or_a_clear_error_in_every_way_of_joining() {
        for (_, method) in Method::ALL {
            let model = AvModel::load(&shipped("av_fight"), Some(method)).unwrap();
            let (video, audio) = model.lengths();
            assert!(model.log_odds(None, None).unwrap().is_finite());
            for value in [0.0, 1.0, -1e3, 1e6] {
                let (v, a) = (vec![value; video], vec![value; audio]);
                for (v, a) in [(Some(&v[..]), Some(&a[..])), (Some(&v), None), (None, Some(&a))] {
                    assert!(model.log_odds(v, a).unwrap().is_finite(), "{method:?} {value}");
                }
            }
            for value in [f32::NAN, f32::INFINITY] {
                let answer = model.log_odds(Some(&vec![value; video]), Some(&vec![0.5; audio]));
                let said = answer.unwrap_err().to_string();
                assert!(said.contains("NaN or infinity by the clip model"), "{method:?} {said}");
            }
            for length in [0, 1, video + 1] {
                let said = model.log_odds(Some(&vec![0.0; length]), None).unwrap_err().to_string();
                assert!(said.contains("trained beside another"), "{said}");
            }
        }
    }
}
