import { useEffect, useRef } from 'react';

/** A dialog that is open as long as it is there; the browser gives the focus back where it was. */
export function useModal() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return dialog;
}
