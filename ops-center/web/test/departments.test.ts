import { describe, expect, test } from 'vitest';
import { ApiError } from '../src/api.ts';
import { inWords, reasonOf } from '../src/departments/reasons.ts';
import { phrase, type Translate } from '../src/i18n/index.ts';

const vi: Translate = (key, values) => phrase('vi', key, values);
const en: Translate = (key, values) => phrase('en', key, values);

describe('what the server says of a receiver', () => {
  // As ops-center/notify and ops-center/outbound write it.
  const said: [string, string][] = [
    ['the receiver answered 503 Service Unavailable', 'Nơi nhận trả lời 503.'],
    ['the mail server answered 550 no such user', 'Nơi nhận trả lời 550.'],
    ['http://[::1]:9: dial tcp [::1]:9: connect: connection refused', 'Nơi nhận từ chối kết nối.'],
    ['https://a.example: context deadline exceeded', 'Nơi nhận không trả lời kịp.'],
    ['the mail server gave no answer within 30s', 'Nơi nhận không trả lời kịp.'],
    ['https://a.example: finding a.example: no such host', 'Không tìm thấy máy nhận theo tên đã ghi.'],
    [
      'https://a.example: tls: failed to verify certificate: x509: certificate has expired',
      'Chứng thư của nơi nhận không dùng được.',
    ],
    ['redirected from https to http', 'Nơi nhận chuyển hướng sang địa chỉ không theo được.'],
    ['"ftp://a": write https://host/path', 'Ghi địa chỉ nhận như https://ten-may/duong-dan.'],
    ['subscription not changed: "a b" is no mail address as name@host', '“a b” không phải địa chỉ thư.'],
  ];
  test.each(said)('%s', (text, want) => {
    expect(inWords(vi, text)).toBe(want);
    expect(inWords(en, text)).not.toMatch(/departments\.|[ăđơư]/);
  });
  test('an address inside is named with the network it is of', () => {
    const error = new ApiError(
      422,
      'Unprocessable Entity',
      'not subscribed: "fd00::1" is not reached: fd00::1 is a private network (ULA) (outbound.allow can admit it)',
    );
    expect(reasonOf(vi, error)).toBe(
      'fd00::1 không được gửi tới: fd00::1 thuộc mạng nội bộ hoặc dải dành riêng. Quản trị có thể cho phép bằng outbound.allow.',
    );
  });
  test('what has no words of its own is not hidden', () => {
    expect(inWords(vi, 'a note of 2031')).toBe('a note of 2031');
  });
});
