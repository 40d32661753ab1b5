//! Where an answer of HTTP/1.1 ends.

/// Whether the bytes are a whole answer. One that says nothing of its length ends with the connection.
pub(super) fn is_whole(answer: &[u8], to_head: bool) -> bool {
    let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
    let (head, body) = (String::from_utf8_lossy(&answer[..end]).to_lowercase(), &answer[end + 4..]);
    if to_head || head.starts_with("http/1.1 204") || head.starts_with("http/1.1 304") {
        return true;
    }
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
    if header("transfer-encoding:") == Some("chunked") {
        return ends_with_last_chunk(body);
    }
    header("content-length:")
        .and_then(|length| length.parse().ok())
        .is_some_and(|length| body.len() >= length)
}

fn ends_with_last_chunk(mut body: &[u8]) -> bool {
    while let Some(end) = body.windows(2).position(|bytes| bytes == b"\r\n") {
        let line = String::from_utf8_lossy(&body[..end]);
        let size = line.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(size, 16) else { return false };
        if size == 0 {
            return body.ends_with(b"\r\n\r\n");
        }
        let Some(rest) = body.get(end + 2 + size + 2..) else { return false };
        body = rest;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn an_answer_is_whole_at_its_last_byte_and_not_before() {
        let answers: [&[u8]; 3] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n\r\n0\r\n\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n\r\n",
        ];
        for answer in answers {
            assert!(is_whole(answer, false));
            assert!((0..answer.len()).all(|end| !is_whole(&answer[..end], false)));
        }
    }

    #[test]
    fn an_answer_without_a_length_goes_on() {
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\n\r\nabc", false));
    }

    #[test]
    fn the_answer_to_head_has_no_body() {
        assert!(is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", true));
    }
}
