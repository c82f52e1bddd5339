//! Faces as the daemon finds them: in the head's region of each person that the detector tracks. Single held-out pictures, whose
//! truth is the finds of the teacher of `models/face`.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use watchfire::data::{
    AudioState, BBox, CameraId, Frame, Picture, Point, ReportBody, Snapshots, TrackFace, TrackedFrame, Window,
};
use watchfire::faces::{cut_out, head_region};
use watchfire::nn::{Detector, DeviceChoice, FaceDetector, FaceEmotion};
use watchfire::stages::{CameraProfile, FaceModels, Job, ReadFaces, Stage, Vision};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

use crate::Place;
use crate::rates::share;

/// Below the data folder; no data pack holds it.
const SET: &str = "held_out/face";
/// Of a picture that the daemon does not shrink for faces: `ingest/lens.rs`.
const NATIVE_PX: usize = 1920;
/// As in `models/training/face/evaluate.py`.
const HIT_IOU: f32 = 0.4;
/// Heights of faces in pixels.
const HEIGHTS: [(f32, f32); 5] = [
    (12.0, 16.0),
    (16.0, 24.0),
    (24.0, 32.0),
    (32.0, 64.0),
    (64.0, f32::INFINITY),
];
/// A track is told of when it has been seen twice; the last picture is the one that faces are read in.
const PICTURES: u64 = 3;
const FRAME_NS: u64 = 200_000_000;

/// People of less height are not asked for a face: `stages/faces.rs`.
const MIN_PERSON_PX: f32 = 64.0;
const HEAD_PX: u32 = 320;

/// One true face.
struct Face {
    height_px: f32,
    /// It lies in the box of a tracked person who is high enough.
    on_person: bool,
    /// Where that person's head is looked for it is the surest face.
    found: bool,
    /// And it shows enough to be read, and the person is one of the largest.
    read: bool,
}

pub fn behind_the_detector(place: &Place) -> String {
    let mut out = "## Faces behind the detector's boxes\n\n".to_owned();
    let folder = place.data.join(SET);
    if !folder.is_dir() {
        return out + &format!("Not counted: there is no `{SET}` (models/face/figures.toml says what makes it).\n");
    }
    let models = place.root.join("models");
    let detector = Detector::load(&models.join("detector"), DeviceChoice::Cpu, 0).unwrap();
    let mut vision = Vision::new(Box::new(detector), Some(Box::new(face_models(&models))));
    let mut finder = face_models(&models);
    let mut pictures: Vec<_> = std::fs::read_dir(folder.join("images"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    pictures.sort();
    let (mut faces, mut read, mut met) = (Vec::new(), 0, 0);
    for path in &pictures {
        let picture = decoded(path);
        let truth = truth(
            &folder
                .join("labels")
                .join(path.with_extension("txt").file_name().unwrap()),
        );
        let height = picture.height as f32;
        let picture = Arc::new(picture);
        let (people, found) = look(&mut vision, path, &picture);
        let heads: Vec<BBox> = people.iter().filter_map(|p| surest(&mut finder, &picture, p)).collect();
        read += found.len();
        met += found
            .iter()
            .filter(|f| truth.iter().any(|t| t.iou(&f.bbox) >= HIT_IOU))
            .count();
        faces.extend(truth.iter().map(|face| Face {
            height_px: face.height() * height,
            on_person: people.iter().any(|person| holds(person, face.centre())),
            found: heads.iter().any(|head| head.iou(face) >= HIT_IOU),
            read: found.iter().any(|f| f.bbox.iou(face) >= HIT_IOU),
        }));
    }
    let row = |of: &[&Face]| {
        let count = |is: fn(&Face) -> bool| of.iter().filter(|f| is(f)).count();
        let (on, found, read) = (count(|f| f.on_person), count(|f| f.found), count(|f| f.read));
        format!(
            "{} | {} | {}",
            share(on, of.len()),
            share(found, of.len()),
            share(read, of.len())
        )
    };
    let _ = write!(
        out,
        "The {} pictures that `models/face` was not trained on, each shown three times in a window to detector, tracker and face models as the \
         daemon joins them; truth is the {} finds of its teacher from score 0.6 on, 12 pixels high or more, a hit an IoU of {HIT_IOU}. The daemon \
         reads the faces of six people at most, of {MIN_PERSON_PX} pixels of height or more.\n\n\
         | height of the face, pixels | in the box of a tracked person | found in a head's region | read |\n|---|---|---|---|\n",
        pictures.len(),
        faces.len(),
    );
    for (from, to) in HEIGHTS {
        let of: Vec<&Face> = faces
            .iter()
            .filter(|f| (from..to).contains(&f.height_px.round()))
            .collect();
        let to = if to.is_finite() {
            format!("to {to}")
        } else {
            "and more".into()
        };
        let _ = writeln!(out, "| {from} {to} | {} |", row(&of));
    }
    let _ = writeln!(out, "| all | {} |", row(&faces.iter().collect::<Vec<_>>()));
    let _ = writeln!(
        out,
        "\nOf the faces that were read, {} are the teacher's; the others are what it was unsure of or did not see, or none.",
        share(met, read)
    );
    out
}

fn face_models(models: &Path) -> FaceModels {
    FaceModels {
        detector: FaceDetector::load(&models.join("face"), DeviceChoice::Cpu, 0).unwrap(),
        emotion: FaceEmotion::load(&models.join("face_emotion"), DeviceChoice::Cpu, 0).unwrap(),
    }
}

fn decoded(path: &Path) -> Picture {
    let jpeg = std::fs::read(path).unwrap();
    let mut decoder = JpegDecoder::new(ZCursor::new(&jpeg[..]));
    let rgb = decoder.decode().unwrap();
    let (width, height) = decoder.dimensions().unwrap();
    assert_eq!(rgb.len(), width * height * 3, "{}", path.display());
    assert!(width.max(height) <= NATIVE_PX, "the daemon would shrink it");
    Picture {
        width: width as u32,
        height: height as u32,
        rgb,
    }
}

/// YOLO text: class, centre, size.
fn truth(path: &Path) -> Vec<BBox> {
    let text = std::fs::read_to_string(path).unwrap();
    let of = |line: &str| {
        let n: Vec<f32> = line.split_whitespace().map(|v| v.parse().unwrap()).collect();
        BBox {
            x1: n[1] - n[3] / 2.0,
            y1: n[2] - n[4] / 2.0,
            x2: n[1] + n[3] / 2.0,
            y2: n[2] + n[4] / 2.0,
        }
    };
    text.lines().map(of).collect()
}

/// The surest face in the region of one person's head.
fn surest(finder: &mut FaceModels, picture: &Picture, person: &BBox) -> Option<BBox> {
    let region = head_region(picture, person);
    let head = cut_out(picture, &region, HEAD_PX)?;
    let bbox = finder.read(&head).unwrap()?.bbox;
    let (w, h) = (region.width(), region.height());
    Some(BBox {
        x1: region.x1 + bbox.x1 * w,
        y1: region.y1 + bbox.y1 * h,
        x2: region.x1 + bbox.x2 * w,
        y2: region.y1 + bbox.y2 * h,
    })
}

fn holds(bbox: &BBox, point: Point) -> bool {
    (bbox.x1..=bbox.x2).contains(&point.x) && (bbox.y1..=bbox.y2).contains(&point.y)
}

/// The boxes of people who are high enough in one picture, and the faces that are read in them.
fn look(vision: &mut Vision, path: &Path, picture: &Arc<Picture>) -> (Vec<BBox>, Vec<TrackFace>) {
    let is_high = |bbox: &BBox| bbox.height() * picture.height as f32 >= MIN_PERSON_PX;
    let window = Window {
        camera: CameraId::new(&path.file_stem().unwrap().to_string_lossy()),
        seq: 0,
        start_ns: 0,
        end_ns: PICTURES * FRAME_NS,
        frames: (0..PICTURES)
            .map(|i| Frame {
                pts_ns: i * FRAME_NS,
                picture: picture.clone(),
                native: (i + 1 == PICTURES).then(|| picture.clone()),
            })
            .collect(),
        audio: vec![],
        audio_state: AudioState::None,
        utc_offset_ns: 0,
        arrived_ns: 0,
        breaks_off: true,
        stretch: 0,
    };
    let profile = CameraProfile {
        detect: vec!["person".into()],
        snapshots: Snapshots::Off,
        emotion: true,
        ..CameraProfile::default()
    };
    let mut out = Vec::new();
    vision.process(Job::new(window, Arc::new(profile)), &mut out).unwrap();
    let ReportBody::Vision(seen) = out.remove(0).body else {
        panic!("no report of {}", path.display());
    };
    let people = |frame: &TrackedFrame| frame.tracks.iter().map(|t| t.bbox).filter(is_high).collect();
    (
        seen.frames.last().map_or_else(Vec::new, people),
        seen.faces.map_or_else(Vec::new, |faces| faces.tracks),
    )
}
