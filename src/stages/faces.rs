//! Person tracks → their faces → what these seem to express. Only for cameras that have opted in: the vision stage
//! asks for nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use crate::data::{BBox, CameraId, FaceReport, Frame, Picture, Track, TrackFace};
use crate::faces::{cut_out, head_region};

/// A person's face, as the models read it in a picture of the head.
#[derive(Clone, Debug, PartialEq)]
pub struct FaceReading {
    /// In fractions of the picture that was given.
    pub bbox: BBox,
    /// 0 to 1.
    pub quality: f32,
    /// Probabilities by label; they sum to 1.
    pub scores: Vec<f32>,
}

/// The face models as this stage needs them. `stages::models` has the real ones; tests bring their own.
pub trait ReadFaces: Send {
    /// `name@version` of the emotion model.
    fn id(&self) -> Arc<str>;
    fn labels(&self) -> Arc<[Arc<str>]>;
    /// The surest face of a picture in which one person's head is expected.
    ///
    /// # Errors
    /// A sentence saying what failed.
    fn read(&mut self, head: &Picture) -> Result<Option<FaceReading>, String>;
}

/// Persons looked at in a window, largest first.
const MAX_PERSONS: usize = 6;
/// A lower person's face is too small to read.
const MIN_PERSON_PX: f32 = 64.0;
/// Longest side of the picture that faces are looked for in.
const HEAD_PX: u32 = 320;
/// A face that shows less is not pooled.
const MIN_QUALITY: f32 = 0.08;
/// What earlier pictures of a face weigh beside a new one: half after about two of the same quality.
const MEMORY: f32 = 0.7;
/// A track whose face was not read for so long is forgotten.
const FORGET_NS: u64 = 10_000_000_000;

/// Reads faces and remembers each track's.
pub struct Faces {
    models: Box<dyn ReadFaces>,
    cameras: HashMap<CameraId, HashMap<u64, Pooled>>,
}

/// The exponential average of a face's scores, weighted by quality.
struct Pooled {
    scores: Vec<f32>,
    weight: f32,
    pictures: u32,
    last_ns: u64,
}

impl Faces {
    pub fn new(models: Box<dyn ReadFaces>) -> Self {
        Self {
            models,
            cameras: HashMap::new(),
        }
    }

    /// The camera's tracks are new ones.
    pub fn forget(&mut self, camera: &CameraId) {
        self.cameras.remove(camera);
    }

    /// Reads the faces of `tracks` as they stood in `frame`. None when the frame has no native-size picture.
    ///
    /// # Errors
    /// A model failed.
    pub fn read(&mut self, camera: &CameraId, frame: &Frame, tracks: &[Track]) -> Result<Option<FaceReport>, String> {
        let Some(picture) = &frame.native else { return Ok(None) };
        let pooled = self.cameras.entry(camera.clone()).or_default();
        pooled.retain(|_, p| frame.pts_ns.saturating_sub(p.last_ns) <= FORGET_NS);
        let height_px = |t: &Track| t.bbox.height() * picture.height as f32;
        let mut persons: Vec<&Track> = tracks
            .iter()
            .filter(|t| t.seen && &*t.class == "person" && height_px(t) >= MIN_PERSON_PX)
            .collect();
        persons.sort_by(|a, b| height_px(b).total_cmp(&height_px(a)).then(a.id.cmp(&b.id)));
        let mut found = Vec::new();
        for track in persons.into_iter().take(MAX_PERSONS) {
            let region = head_region(picture, &track.bbox);
            let Some(head) = cut_out(picture, &region, HEAD_PX) else {
                continue;
            };
            let Some(face) = self.models.read(&head)?.filter(|f| f.quality >= MIN_QUALITY) else {
                continue;
            };
            let bbox = within(&region, &face.bbox);
            // The head's region reaches beyond a slim box: a face there is a neighbour's.
            if !(track.bbox.x1..=track.bbox.x2).contains(&bbox.centre().x) {
                continue;
            }
            let pooled = pooled.entry(track.id).or_insert_with(|| Pooled::of(face.scores.len()));
            pooled.add(&face, frame.pts_ns);
            found.push(TrackFace {
                track: track.id,
                bbox,
                quality: face.quality,
                scores: pooled.scores.clone(),
                pictures: pooled.pictures,
            });
        }
        Ok(Some(FaceReport {
            at_ns: frame.pts_ns,
            labels: self.models.labels(),
            model: self.models.id(),
            tracks: found,
        }))
    }
}

impl Pooled {
    fn of(labels: usize) -> Self {
        Self {
            scores: vec![0.0; labels],
            weight: 0.0,
            pictures: 0,
            last_ns: 0,
        }
    }

    fn add(&mut self, face: &FaceReading, at_ns: u64) {
        let before = MEMORY * self.weight;
        self.weight = before + face.quality;
        for (mean, new) in self.scores.iter_mut().zip(&face.scores) {
            *mean = (*mean * before + new * face.quality) / self.weight.max(f32::EPSILON);
        }
        self.pictures += 1;
        self.last_ns = at_ns;
    }
}

/// A box in fractions of a region, in fractions of the picture.
fn within(region: &BBox, b: &BBox) -> BBox {
    let (w, h) = (region.width(), region.height());
    BBox {
        x1: region.x1 + b.x1 * w,
        y1: region.y1 + b.y1 * h,
        x2: region.x1 + b.x2 * w,
        y2: region.y1 + b.y2 * h,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with the readings of its list, one a call, and counts the calls.
    struct Script(Vec<Option<FaceReading>>);

    impl ReadFaces for Script {
        fn id(&self) -> Arc<str> {
            "face_emotion@test".into()
        }

        fn labels(&self) -> Arc<[Arc<str>]> {
            ["neutral".into(), "anger".into()].into()
        }

        fn read(&mut self, _: &Picture) -> Result<Option<FaceReading>, String> {
            if self.0.is_empty() {
                return Err("asked too often".into());
            }
            Ok(self.0.remove(0))
        }
    }

    fn reading(quality: f32, anger: f32) -> Option<FaceReading> {
        Some(FaceReading {
            bbox: BBox {
                x1: 0.25,
                y1: 0.25,
                x2: 0.75,
                y2: 0.75,
            },
            quality,
            scores: vec![1.0 - anger, anger],
        })
    }

    fn frame(pts_ns: u64) -> Frame {
        let picture = Arc::new(Picture {
            width: 400,
            height: 400,
            rgb: vec![90; 400 * 400 * 3],
        });
        Frame {
            pts_ns,
            picture: picture.clone(),
            native: Some(picture),
        }
    }

    fn track(id: u64, class: &str, height: f32) -> Track {
        Track {
            id,
            class: class.into(),
            score: 0.9,
            bbox: BBox {
                x1: 0.4,
                y1: 0.1,
                x2: 0.6,
                y2: 0.1 + height,
            },
            seen: true,
            hits: 5,
            born_ns: 0,
        }
    }

    fn camera() -> CameraId {
        CameraId::new("yard")
    }

    #[test]
    fn a_better_picture_of_a_face_moves_its_average_more() {
        let pool = |second: f32| {
            let mut faces = Faces::new(Box::new(Script(vec![reading(0.5, 0.0), reading(second, 1.0)])));
            let person = [track(1, "person", 0.8)];
            let _ = faces.read(&camera(), &frame(0), &person).unwrap();
            let report = faces.read(&camera(), &frame(500_000_000), &person).unwrap().unwrap();
            assert_eq!((report.tracks[0].pictures, report.tracks[0].track), (2, 1));
            report.tracks[0].scores.clone()
        };
        let (good, poor) = (pool(1.0), pool(0.1));
        assert!(good[1] > 0.7 && poor[1] < 0.25, "{good:?} {poor:?}");
        assert!((good.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn only_persons_that_are_large_enough_are_asked_for_the_largest_first() {
        let mut faces = Faces::new(Box::new(Script(vec![reading(0.9, 0.1), reading(0.9, 0.2)])));
        let mut unseen = track(5, "person", 0.8);
        unseen.seen = false;
        let tracks = [
            track(1, "person", 0.4),
            track(2, "car", 0.8),
            track(3, "person", 0.8),
            track(4, "person", 0.1),
            unseen,
        ];
        let report = faces.read(&camera(), &frame(0), &tracks).unwrap().unwrap();
        assert_eq!(report.tracks.iter().map(|t| t.track).collect::<Vec<_>>(), [3, 1]);
        let face = report.tracks[0].bbox;
        assert!(face.x1 > 0.4 && face.x2 < 0.6 && face.y2 < 0.5, "{face:?}");
    }

    #[test]
    fn a_face_that_shows_nothing_and_a_window_without_a_native_picture_say_nothing() {
        let mut faces = Faces::new(Box::new(Script(vec![reading(0.01, 0.9), None])));
        let person = [track(1, "person", 0.8)];
        for t in 0..2 {
            let report = faces
                .read(&camera(), &frame(t * 500_000_000), &person)
                .unwrap()
                .unwrap();
            assert!(report.tracks.is_empty());
        }
        let bare = Frame {
            native: None,
            ..frame(0)
        };
        assert!(faces.read(&camera(), &bare, &person).unwrap().is_none());
    }

    #[test]
    fn a_neighbours_face_beside_a_slim_person_is_not_theirs() {
        let beside = reading(0.9, 1.0).map(|face| FaceReading {
            bbox: BBox {
                x1: 0.8,
                x2: 1.0,
                ..face.bbox
            },
            ..face
        });
        let mut faces = Faces::new(Box::new(Script(vec![beside])));
        let mut slim = track(1, "person", 0.8);
        (slim.bbox.x1, slim.bbox.x2) = (0.45, 0.55);
        assert!(
            faces
                .read(&camera(), &frame(0), &[slim])
                .unwrap()
                .unwrap()
                .tracks
                .is_empty()
        );
    }

    #[test]
    fn a_face_long_unread_starts_anew() {
        let mut faces = Faces::new(Box::new(Script(vec![reading(0.9, 1.0), reading(0.9, 0.0)])));
        let person = [track(1, "person", 0.8)];
        let _ = faces.read(&camera(), &frame(0), &person).unwrap();
        let report = faces.read(&camera(), &frame(20_000_000_000), &person).unwrap().unwrap();
        assert_eq!((report.tracks[0].pictures, report.tracks[0].scores[1]), (1, 0.0));
    }
}
