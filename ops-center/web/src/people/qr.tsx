import { useEffect, useState } from 'react';

export interface Code {
  /** Modules on a side, with the quiet zone of four around them. */
  size: number;
  /** The dark ones, as the path of an SVG. */
  path: string;
}

/** A text as a QR code; the encoder is fetched when the first is drawn. */
export async function codeOf(text: string): Promise<Code> {
  const { encode } = await import('uqr');
  const { data, size } = encode(text, { ecc: 'M', border: 4 });
  let path = '';
  data.forEach((row, y) => {
    for (let x = 0; x < row.length; x++) {
      if (!row[x]) continue;
      const from = x;
      while (row[x + 1]) x++;
      path += `M${from} ${y}h${x + 1 - from}v1H${from}z`;
    }
  });
  return { size, path };
}

/** A QR code, dark on white in either theme; nothing where it cannot be drawn. */
export function QrCode({ text, label }: { text: string; label: string }) {
  const [code, setCode] = useState<Code | undefined>(undefined);
  useEffect(() => {
    let gone = false;
    codeOf(text).then(
      (c) => {
        if (!gone) setCode(c);
      },
      () => undefined, // the key in letters is beside it
    );
    return () => {
      gone = true;
    };
  }, [text]);
  if (!code) return null;
  return (
    <svg
      className="qr"
      viewBox={`0 0 ${code.size} ${code.size}`}
      role="img"
      aria-label={label}
      shapeRendering="crispEdges"
    >
      <rect width={code.size} height={code.size} fill="#fff" />
      <path d={code.path} fill="#000" />
    </svg>
  );
}
