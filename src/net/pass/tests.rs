//! What comes is what was sent, and what exceeds a bound ends the conversation.

use std::io::Write as _;
use std::os::fd::AsFd as _;

use super::*;

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("a pair")
}

fn file(text: &str) -> std::fs::File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

#[tokio::test]
async fn bytes_and_descriptors_come_together_and_in_order() {
    let (ours, theirs) = pair();
    let files = [file("one"), file("twelve")];
    let descriptors: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
    // More than a socket holds at once would be fine too.
    let long = vec![7; MOST_BYTES];
    let both = async {
        send(&ours, &long, &descriptors).await?;
        send(&ours, b"", &[]).await
    };
    let (sent, got) =
        tokio::join!(both, async { (receive(&theirs).await, receive(&theirs).await) });
    sent.expect("sent");
    let first = got.0.expect("received").expect("a message");
    assert_eq!(first.bytes, long);
    let lengths: Vec<_> = first
        .descriptors
        .into_iter()
        .map(|descriptor| std::fs::File::from(descriptor).metadata().expect("a file").len())
        .collect();
    assert_eq!(lengths, [3, 6]);
    let second = got.1.expect("received").expect("a message");
    assert!(second.bytes.is_empty() && second.descriptors.is_empty());
    drop(ours);
    assert!(receive(&theirs).await.expect("no error").is_none(), "the end is no message");
}

#[tokio::test]
async fn what_comes_does_not_outlive_an_exec() {
    let (ours, theirs) = pair();
    send(&ours, b"x", &[file("").as_fd()]).await.expect("sent");
    let came = receive(&theirs).await.expect("received").expect("a message").descriptors;
    let flags = rustix::io::fcntl_getfd(&came[0]).expect("open");
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

#[tokio::test]
async fn too_much_is_neither_sent_nor_taken() {
    let (ours, theirs) = pair();
    let file = file("");
    let many = vec![file.as_fd(); MOST_DESCRIPTORS + 1];
    assert!(send(&ours, b"x", &many).await.is_err());
    assert!(send(&ours, &vec![0; MOST_BYTES + 1], &[]).await.is_err());

    // Two messages of the kernel that would make one of ours.
    for part in [&[0, 0, 0, 2, b'x'][..], b"y"] {
        let half = &many[..MOST_DESCRIPTORS / 2 + 1];
        assert_eq!(send_some(&ours, part, half).expect("sent"), part.len());
    }
    assert_eq!(receive(&theirs).await.expect_err("refused").kind(), io::ErrorKind::InvalidData);

    let (ours, theirs) = pair();
    send_some(&ours, &u32::MAX.to_be_bytes(), &[]).expect("sent");
    assert_eq!(receive(&theirs).await.expect_err("refused").kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn what_breaks_off_is_an_error() {
    for part in [&[0, 0][..], &[0, 0, 0, 9, b'x']] {
        let (ours, theirs) = pair();
        send_some(&ours, part, &[]).expect("sent");
        drop(ours);
        let error = receive(&theirs).await.expect_err("broken off");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
