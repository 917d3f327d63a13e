//! CDR, the encoding of ROS 2 messages on the wire and in bags (OMG CORBA 3.4, section 9.3; DDSI-RTPS 2.3, section
//! 10): four bytes that name the representation, then the fields, each aligned to its own size.
//!
//! Written little-endian, read in both byte orders. Byte sequences are copied whole. A length that exceeds what is
//! left of the buffer is an error before anything is allocated for it.

use byteorder::{BigEndian, LittleEndian};

use super::RosMessage;
use crate::{Error, Result};

/// The encapsulation header: representation identifier and options.
const HEADER_LENGTH: usize = 4;

/// The message as bytes: 4-byte encapsulation header and little-endian CDR.
pub fn to_bytes<T: RosMessage>(message: &T) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 0];
    match cdr_encoding::to_writer::<T, LittleEndian, _>(&mut bytes, message) {
        Ok(()) => bytes,
        Err(error) => unreachable!("messages have CDR types only and memory does not fail to be written: {error}"),
    }
}

/// The message in `bytes`; `what` (a topic, for example) names it in the error. Bytes beyond the message are
/// padding and ignored.
///
/// # Errors
/// [`Error::Message`] when the header names no plain CDR, the bytes end inside a field, a length exceeds what is
/// left, a boolean is neither 0 nor 1 or a string is not UTF-8.
pub fn from_bytes<T: RosMessage>(what: &str, bytes: &[u8]) -> Result<T> {
    let refused = |found: String| Error::message(what, format!("a {} in CDR", T::TYPE), found);
    let Some((header, body)) = bytes.split_at_checked(HEADER_LENGTH) else {
        return Err(refused(format!("{} bytes, less than the 4 of the encapsulation header", bytes.len())));
    };
    let decoded = match header[..2] {
        [0, 0] => cdr_encoding::from_bytes::<T, BigEndian>(body),
        [0, 1] => cdr_encoding::from_bytes::<T, LittleEndian>(body),
        _ => {
            let identifier = format!("{:#04x}{:02x}", header[0], header[1]);
            return Err(refused(format!("representation {identifier} (0x0000 and 0x0001 are plain CDR)")));
        }
    };
    decoded.map(|(message, _)| message).map_err(|error| match error {
        cdr_encoding::Error::Eof => refused(format!("{} bytes that end inside a field", bytes.len())),
        other => refused(format!("{} bytes with a bad field: {other}", bytes.len())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stamp;
    use crate::msg::geometry_msgs::PoseWithCovarianceStamped;
    use crate::msg::sensor_msgs::{CameraInfo, Image};
    use crate::msg::std_msgs::Header;

    fn image() -> Image {
        Image {
            header: Header::new(Stamp::from_parts(7, 9), "cam"),
            height: 2,
            width: 3,
            encoding: "mono8".into(),
            is_bigendian: 0,
            step: 3,
            data: vec![1, 2, 3, 4, 5, 6],
        }
    }

    /// The bytes by hand, from the rules of CDR: every number at a multiple of its size, counted from the header's end.
    #[rustfmt::skip]
    fn image_bytes(big: bool) -> Vec<u8> {
        let number = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let mut bytes = vec![0, u8::from(!big), 0, 0];
        for value in [7, 9, 4] { bytes.extend(number(value)); }
        bytes.extend(b"cam\0");
        for value in [2, 3, 6] { bytes.extend(number(value)); }
        bytes.extend(b"mono8\0\0\0");              // the string, is_bigendian, one byte of padding
        for value in [3, 6] { bytes.extend(number(value)); }
        bytes.extend([1, 2, 3, 4, 5, 6]);
        bytes
    }

    #[test]
    fn an_image_has_the_bytes_of_the_standard_in_both_orders() {
        assert_eq!(to_bytes(&image()), image_bytes(false));
        for big in [false, true] {
            assert_eq!(from_bytes::<Image>("/image", &image_bytes(big)).unwrap(), image());
        }
    }

    #[test]
    fn padding_behind_the_message_is_ignored() {
        let mut bytes = to_bytes(&image());
        bytes.extend([0; 3]);
        assert_eq!(from_bytes::<Image>("/image", &bytes).unwrap(), image());
    }

    #[test]
    fn every_cut_is_an_error() {
        let bytes = to_bytes(&image());
        for length in 0..bytes.len() {
            let error = from_bytes::<Image>("/image", &bytes[..length]).unwrap_err().to_string();
            assert!(error.starts_with("/image: expected a sensor_msgs/msg/Image in CDR, found "), "{error}");
        }
        let error = from_bytes::<Image>("/image", &bytes[..20]).unwrap_err().to_string();
        assert_eq!(error, "/image: expected a sensor_msgs/msg/Image in CDR, found 20 bytes that end inside a field");
        let error = from_bytes::<Image>("/image", &bytes[..3]).unwrap_err().to_string();
        assert!(error.ends_with("found 3 bytes, less than the 4 of the encapsulation header"), "{error}");
    }

    #[test]
    fn lengths_beyond_the_buffer_are_refused_without_allocating_them() {
        let mut bytes = to_bytes(&image());
        let length_at = bytes.len() - 6 - 4;
        bytes[length_at..length_at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = from_bytes::<Image>("/image", &bytes).unwrap_err().to_string();
        assert!(error.ends_with("bytes that end inside a field"), "{error}");
        // a sequence of f64: the count of `d` follows the distortion model
        let mut bytes = to_bytes(&CameraInfo::default());
        bytes[4 + 8 + 8 + 8 + 8..][..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(from_bytes::<CameraInfo>("/camera_info", &bytes).is_err());
    }

    #[test]
    fn other_representations_are_named() {
        let error = from_bytes::<Image>("/image", &[0, 7, 0, 0, 1]).unwrap_err().to_string();
        assert!(error.contains("representation 0x0007"), "{error}");
    }

    #[test]
    fn arrays_of_36_have_no_length() {
        let mut message = PoseWithCovarianceStamped::default();
        message.pose.covariance[35] = 2.5;
        let bytes = to_bytes(&message);
        assert_eq!(bytes.len(), 4 + 8 + 4 + 4 + 7 * 8 + 36 * 8); // the empty frame_id takes a length, NUL and padding
        assert_eq!(from_bytes::<PoseWithCovarianceStamped>("/pose", &bytes).unwrap(), message);
    }
}
