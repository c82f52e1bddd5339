use super::*;

/// Runs a pipeline to its end.
fn make(launch: &str) {
    super::super::init().unwrap();
    let pipeline = gst::parse::launch(launch).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let message = pipeline.bus().unwrap().timed_pop_filtered(
        gst::ClockTime::from_seconds(60),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(message.map(|m| m.type_()), Some(gst::MessageType::Eos), "{launch}");
}

/// Times of the pictures and sounds of a file, in the order in which they are given.
fn order(path: &Path) -> Result<Vec<(Media, u64)>, GstError> {
    let mut reader = MediaReader::open(path, 25.0, 64)?;
    let mut out = Vec::new();
    while let Some(datum) = reader.next_datum()? {
        out.push(match datum {
            Datum::Frame(_, at_ns) => (Media::Video, at_ns),
            Datum::Sound(_, at_ns) => (Media::Audio, at_ns),
        });
    }
    Ok(out)
}

fn count(order: &[(Media, u64)], media: Media) -> usize {
    order.iter().filter(|(m, _)| *m == media).count()
}

/// How many pictures of a file are given at five a second, and of what size.
fn thinned(path: &Path) -> (usize, Option<(u32, u32)>) {
    let mut reader = MediaReader::open(path, 5.0, 320).unwrap();
    let (mut n, mut size) = (0, None);
    while let Some(datum) = reader.next_datum().unwrap() {
        if let Datum::Frame(picture, _) = datum {
            (n, size) = (n + 1, Some((picture.width, picture.height)));
        }
    }
    (n, size)
}

#[test]
fn what_a_stream_says_of_its_rate_or_does_not_say_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let rates = [
        // Many cameras and recorders leave the times out of H.264; its pictures have no length in MPEG-TS.
        ("unsaid.ts", "openh264enc ! h264parse ! mpegtsmux"),
        (
            "unsaid.webm",
            "vp8enc deadline=1 ! capssetter join=true caps=video/x-vp8,framerate=0/1 ! webmmux",
        ),
        (
            "slower.mkv",
            "jpegenc ! capssetter join=true caps=image/jpeg,framerate=1/1 ! matroskamux",
        ),
        ("true.mkv", "jpegenc ! matroskamux"),
    ];
    for (name, encoded) in rates {
        let path = dir.path().join(name);
        make(&format!(
            "videotestsrc num-buffers=75 pattern=ball ! video/x-raw,width=160,height=120,framerate=25/1 ! {encoded} ! filesink \
             location={}",
            path.display()
        ));
        assert_eq!(thinned(&path), (15, Some((160, 120))), "{name}");
    }
}

#[test]
fn pixels_that_are_not_square_become_square() {
    let dir = tempfile::tempdir().unwrap();
    let wide = (704, 576, "16/11", (320, 180));
    let halved = (704, 288, "6/11", (320, 240));
    for (width, height, pixel, wanted) in [wide, halved] {
        let path = dir.path().join(format!("{width}x{height}.mkv"));
        make(&format!(
            "videotestsrc num-buffers=5 ! video/x-raw,width={width},height={height},framerate=5/1,pixel-aspect-ratio={pixel} \
             ! x264enc ! matroskamux ! filesink location={}",
            path.display()
        ));
        assert_eq!(thinned(&path), (5, Some(wanted)), "{width}x{height} at {pixel}");
    }
}

/// Sound from 7 s on behind as much picture as goes into 7 s, in a form that `encoded` makes.
fn make_late(path: &Path, size: &str, encoded: &str) {
    make(&format!(
        "matroskamux name=mux ! filesink location={} \
         videotestsrc pattern=snow num-buffers=200 ! video/x-raw,{size},framerate=25/1 ! jpegenc quality=95 \
         ! queue max-size-bytes=0 max-size-time=0 max-size-buffers=0 ! mux. \
         audiotestsrc num-buffers=10 samplesperbuffer=1600 timestamp-offset=7000000000 ! audio/x-raw,rate=16000,channels=1 \
         {encoded} ! queue ! mux.",
        path.display()
    ));
}

const FOUR_SECONDS: &str =
    "videotestsrc num-buffers=100 ! video/x-raw,width=64,height=64,framerate=25/1 ! jpegenc ! queue ! mux. ";

fn tone(tenths: u32) -> String {
    format!(
        "audiotestsrc num-buffers={tenths} samplesperbuffer=1600 ! audio/x-raw,rate=16000,channels=1 ! queue ! mux. "
    )
}

#[test]
fn sound_that_begins_behind_far_more_picture_than_waits_anywhere_is_given_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("late.mkv");
    make_late(&path, "width=640,height=480", "");
    assert!(std::fs::metadata(&path).unwrap().len() > 30 << 20);
    let order = order(&path).unwrap();
    assert_eq!((count(&order, Media::Video), count(&order, Media::Audio)), (200, 10));
    assert!(order.is_sorted_by_key(|(_, at_ns)| *at_ns));
    let first = order.iter().find(|(m, _)| *m == Media::Audio).unwrap();
    assert_eq!(first.1, 7_000_000_000);
}

#[test]
fn of_two_pictures_and_two_sounds_the_first_is_read_and_none_waits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tracks.mkv");
    let (video, audio) = (FOUR_SECONDS, tone(40));
    make(&format!(
        "matroskamux name=mux ! filesink location={} {video}{video}{audio}{audio}",
        path.display()
    ));
    let order = order(&path).unwrap();
    assert_eq!((count(&order, Media::Video), count(&order, Media::Audio)), (100, 40));
}

/// The format of such a sound is known only from its data.
#[test]
fn compressed_sound_behind_far_more_picture_than_waits_anywhere_is_given_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("aac.mkv");
    make_late(&path, "width=640,height=480", "! audioconvert ! avenc_aac");
    assert!(std::fs::metadata(&path).unwrap().len() > 30 << 20);
    let order = order(&path).unwrap();
    assert_eq!(count(&order, Media::Video), 200);
    let first = order.iter().find(|(m, _)| *m == Media::Audio).unwrap();
    assert!(first.1.abs_diff(7_000_000_000) < 100_000_000, "{}", first.1);
}

#[test]
fn a_file_that_fails_without_an_end_does_not_hang_its_reader() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("late.mkv");
    // By the time the sound comes the reader has given up waiting for its format.
    make_late(&path, "width=320,height=240", "! lamemp3enc ! mpegaudioparse");
    if let Ok(order) = order(&path) {
        assert_eq!(count(&order, Media::Video), 200);
    }
}

#[test]
fn mp3_beside_a_picture_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mp3.mkv");
    make(&format!(
        "matroskamux name=mux ! filesink location={} {FOUR_SECONDS} \
         audiotestsrc num-buffers=40 samplesperbuffer=1600 ! audio/x-raw,rate=16000,channels=1 ! lamemp3enc ! mpegaudioparse ! queue ! mux.",
        path.display()
    ));
    let order = order(&path).unwrap();
    assert_eq!(count(&order, Media::Video), 100);
    assert!(count(&order, Media::Audio) > 30);
}

#[test]
fn sound_that_ends_before_the_picture_is_no_cut_recording() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("film.mkv");
    let (first, second) = (tone(10), tone(90));
    make(&format!(
        "matroskamux name=mux ! filesink location={} {FOUR_SECONDS}{first}{second}",
        path.display()
    ));
    assert_eq!(read_sound(&path).unwrap().len(), 16_000);
    assert_eq!(count(&order(&path).unwrap(), Media::Video), 100);
}

#[test]
fn a_recording_that_was_cut_short_gives_what_it_holds_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, cut] = ["whole.mp4", "cut.mp4"].map(|name| dir.path().join(name));
    make(&format!(
        "mp4mux faststart=true name=mux ! filesink location={} \
         videotestsrc pattern=snow num-buffers=250 ! video/x-raw,width=64,height=64,framerate=25/1 ! x264enc speed-preset=ultrafast ! h264parse ! mux.",
        whole.display()
    ));
    assert_eq!(order(&whole).unwrap().len(), 250);
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() * 6 / 10]).unwrap();
    let mut reader = MediaReader::open(&cut, 25.0, 64).unwrap();
    let mut frames = 0;
    let error = loop {
        match reader.next_datum() {
            Ok(Some(_)) => frames += 1,
            Ok(None) => panic!("it counts as whole"),
            Err(error) => break error,
        }
    };
    assert!((140..160).contains(&frames), "{frames}");
    assert!(error.to_string().contains("of the 10.0 s"), "{error}");
}

/// A telephone that is held upright writes its pictures lying down, and how they are to be turned.
#[test]
fn a_picture_that_is_to_be_turned_is_turned() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("upright.mp4");
    make(&format!(
        "mp4mux name=mux ! filesink location={} \
         videotestsrc num-buffers=10 ! video/x-raw,width=64,height=32,framerate=10/1 ! x264enc ! h264parse ! mux.",
        path.display()
    ));
    let mut bytes = std::fs::read(&path).unwrap();
    // The matrix of the track's header box (ISO/IEC 14496-12, 8.3.2): behind version, times, number, duration, layer, volume.
    let header = bytes.windows(4).position(|w| w == b"tkhd").unwrap();
    let quarter_turn: [i32; 9] = [0, 0x1_0000, 0, -0x1_0000, 0, 0, 32 << 16, 0, 0x4000_0000];
    let matrix: Vec<u8> = quarter_turn.iter().flat_map(|n| n.to_be_bytes()).collect();
    bytes[header + 44..header + 80].copy_from_slice(&matrix);
    std::fs::write(&path, bytes).unwrap();
    let mut reader = MediaReader::open(&path, 25.0, 640).unwrap();
    let mut sizes = std::collections::BTreeSet::new();
    while let Some(datum) = reader.next_datum().unwrap() {
        if let Datum::Frame(picture, _) = datum {
            sizes.insert((picture.width, picture.height));
        }
    }
    assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [(32, 64)]);
}

/// Whoever counts such a file among those in which nothing was found has looked at nothing.
#[test]
fn a_file_of_which_nothing_is_decoded_is_told_and_one_with_a_single_picture_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let film = |name: &str, pictures: u32| {
        make(&format!(
            "videotestsrc num-buffers={pictures} ! video/x-raw,width=64,height=64,framerate=2/1 ! jpegenc ! matroskamux ! filesink \
             location={}",
            at(name).display()
        ));
        at(name)
    };
    assert_eq!(order(&film("one.mkv", 1)).unwrap().len(), 1);
    // Shorter than what a recording may lack at its end, and no decoder finds a picture in its data.
    let spoiled = film("spoiled.mkv", 3);
    let mut bytes = std::fs::read(&spoiled).unwrap();
    let begins: Vec<usize> = (0..bytes.len() - 1)
        .filter(|i| bytes[*i..].starts_with(b"\xff\xd8"))
        .collect();
    assert!(begins.len() >= 3, "{begins:?}");
    for begin in begins {
        bytes[begin..begin + 64].fill(0);
    }
    std::fs::write(&spoiled, bytes).unwrap();
    assert!(order(&spoiled).is_err(), "it counts as whole");

    // The header of a sound without a sample.
    let header = at("header.wav");
    make(&format!(
        "audiotestsrc num-buffers=1 samplesperbuffer=16 ! audio/x-raw,format=S16LE,rate=16000,channels=1 ! wavenc ! filesink \
         location={}",
        header.display()
    ));
    let mut bytes = std::fs::read(&header).unwrap();
    let data = bytes.windows(4).position(|w| w == b"data").unwrap();
    bytes.truncate(data + 4);
    bytes.extend([0; 4]);
    let riff = bytes.len() as u32 - 8;
    bytes[4..8].copy_from_slice(&riff.to_le_bytes());
    std::fs::write(&header, bytes).unwrap();
    let error = order(&header).unwrap_err().to_string();
    assert!(error.contains("nothing in it could be decoded"), "{error}");

    std::fs::write(at("empty.mp4"), b"").unwrap();
    assert_eq!(order(&at("empty.mp4")).unwrap_err().to_string(), "is empty");
}

#[test]
fn why_junk_cannot_be_read_is_told_without_a_place_in_gstreamers_source() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("junk.mp4");
    std::fs::write(&path, [0; 4096]).unwrap();
    let why = MediaReader::open(&path, 5.0, 64).err().unwrap().to_string();
    assert!(!why.contains(".c(") && !why.is_empty(), "{why}");
}

/// A pipe that nobody writes into, and a socket: opening either must not wait.
#[test]
fn what_is_no_file_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let [pipe, socket] = ["a.mp4", "b.mp4"].map(|name| dir.path().join(name));
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()));
    let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (path, why) in [
        (pipe.as_path(), "is a pipe, not a file"),
        (socket.as_path(), "is a socket, not a file"),
        (Path::new("/dev/zero"), "is a device, not a file"),
        (dir.path(), "is a folder, not a file"),
    ] {
        assert_eq!(order(path).unwrap_err().to_string(), why);
        assert_eq!(read_sound(path).unwrap_err().to_string(), why);
    }
}
