//! Pictures that no camera sends: a sane answer or a clear error from every picture model, never a panic.

use super::{ActionModel, Detector, DeviceChoice, FaceDetector, FaceEmotion, ModelError, shipped};
use crate::data::{BBox, Picture};

fn plain(width: u32, height: u32, value: u8) -> Picture {
    Picture {
        width,
        height,
        rgb: vec![value; (width * height * 3) as usize],
    }
}

fn noise(width: u32, height: u32, seed: u32) -> Picture {
    let mut picture = plain(width, height, 0);
    let mut state = seed;
    for value in &mut picture.rgb {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = (state >> 24) as u8;
    }
    picture
}

/// Black, white, white noise, one pixel, one row, one column, 8K.
fn extremes() -> Vec<Picture> {
    vec![
        plain(640, 360, 0),
        plain(640, 360, 255),
        noise(640, 360, 1),
        plain(1, 1, 77),
        plain(1, 4000, 77),
        plain(4000, 1, 77),
        plain(7680, 4320, 90),
    ]
}

/// Pictures without pixels, or with fewer bytes than their size needs.
fn broken() -> impl Iterator<Item = Picture> {
    let sizes = [(0, 0, 0), (0, 5, 0), (5, 0, 0), (4, 4, 47), (u32::MAX, u32::MAX, 3)];
    sizes.into_iter().map(|(width, height, bytes)| Picture {
        width,
        height,
        rgb: vec![0; bytes],
    })
}

fn inside(b: BBox) -> bool {
    b.x1 >= 0.0 && b.y1 >= 0.0 && b.x2 <= 1.0 && b.y2 <= 1.0 && b.x1 <= b.x2 && b.y1 <= b.y2
}

fn refused<T>(answer: Result<T, ModelError>) {
    let error = answer.err().expect("a broken picture is refused").to_string();
    assert!(error.contains("picture"), "{error}");
}

#[test]
fn the_detector_sees_next_to_nothing_where_nothing_is() {
    let detector = Detector::load(&shipped("detector"), DeviceChoice::Cpu, 0).unwrap();
    for picture in extremes() {
        let found = detector.detect(&[&picture], 0.35).unwrap().pop().unwrap();
        assert!(found.len() <= 1, "{}×{}: {found:?}", picture.width, picture.height);
        assert!(found.iter().all(|d| d.score <= 1.0 && inside(d.bbox)));
    }
    broken().for_each(|picture| refused(detector.detect(&[&picture], 0.35)));
}

#[test]
fn the_face_detector_sees_no_face_where_nothing_is() {
    let model = FaceDetector::load(&shipped("face"), DeviceChoice::Cpu, 0).unwrap();
    for picture in extremes() {
        let found = model.find(&picture, model.threshold()).unwrap();
        assert!(found.is_empty(), "{}×{}: {found:?}", picture.width, picture.height);
        for face in model.find(&picture, 0.01).unwrap() {
            assert!(face.score <= 1.0 && inside(face.bbox));
            assert!(face.points.iter().all(|p| p.x.is_finite() && p.y.is_finite()));
        }
    }
    broken().for_each(|picture| refused(model.find(&picture, 0.5)));
}

#[test]
fn a_face_without_features_gets_no_certain_emotion() {
    let model = FaceEmotion::load(&shipped("face_emotion"), DeviceChoice::Cpu, 0).unwrap();
    let n = model.side() * model.side();
    let noise: Vec<u8> = noise(model.side() as u32, model.side() as u32, 5)
        .rgb
        .into_iter()
        .step_by(3)
        .collect();
    for crop in [vec![0; n], vec![255; n], noise] {
        let shares = model.classify(&[&crop]).unwrap().pop().unwrap();
        assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{shares:?}");
        assert!(shares.iter().all(|p| *p < 0.95), "{shares:?}");
    }
    for length in [0, 1, n - 1, n + 1] {
        assert!(model.classify(&[&vec![0; length]]).is_err());
    }
    assert!(model.classify(&[]).unwrap().is_empty());
}

#[test]
fn the_clip_model_sees_no_fight_where_nothing_moves() {
    let model = ActionModel::load(&shipped("action"), DeviceChoice::Cpu, 0).unwrap();
    let fight = model.labels().iter().position(|l| &**l == "fight").unwrap();
    let limit = model.manifest().labels[fight].threshold;
    for picture in extremes() {
        for frames in [1, 40] {
            let (scores, embedding) = model.classify(&[vec![&picture; frames]]).unwrap().pop().unwrap();
            let size = (picture.width, picture.height);
            assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{size:?}: {scores:?}");
            assert!(scores[fight] < limit, "{size:?}, {frames} frames: {scores:?}");
            assert!(embedding.iter().all(|e| e.is_finite()));
        }
    }
    broken().for_each(|picture| refused(model.classify(&[vec![&picture; 3]])));
    assert!(model.classify(&[Vec::new()]).is_err());
}

#[test]
fn a_clip_of_white_noise_or_of_changing_sizes_is_answered() {
    let model = ActionModel::load(&shipped("action"), DeviceChoice::Cpu, 0).unwrap();
    let storm: Vec<Picture> = (1..20).map(|seed| noise(320, 180, seed)).collect();
    let mixed = [plain(320, 180, 9), plain(64, 480, 200), plain(1, 1, 5)];
    for clip in [storm.iter().collect(), mixed.iter().collect::<Vec<_>>()] {
        let (scores, _) = model.classify(&[clip]).unwrap().pop().unwrap();
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{scores:?}");
    }
}

/// A window's pictures are asked about together, and how many there are is chance.
#[test]
fn pictures_asked_together_are_answered_as_each_by_itself() {
    let detector = Detector::load(&shipped("detector"), DeviceChoice::Cpu, 0).unwrap();
    let pictures: Vec<Picture> = (1..4).map(|seed| noise(320, 200, seed)).collect();
    let all: Vec<&Picture> = pictures.iter().collect();
    // So low a threshold lets noise be something.
    let together = detector.detect(&all, 0.001).unwrap();
    assert!(together.iter().any(|found| !found.is_empty()));
    for (picture, together) in pictures.iter().zip(together) {
        let own = detector.detect(&[picture], 0.001).unwrap().remove(0);
        assert_eq!(own.len(), together.len());
        for (a, b) in own.iter().zip(&together) {
            assert!(a.class == b.class && (a.score - b.score).abs() < 1e-4 && a.bbox.iou(&b.bbox) > 0.99);
        }
    }
}
