// The camera of a desk or a laptop in a dialog; phones have their own way (a file input with `capture`). Browsers give the
// camera only to pages of this machine or over TLS.

export function offerCamera(button, take) {
  if (!navigator.mediaDevices?.getUserMedia) return;
  const dialog = document.getElementById("camera-dialog");
  const video = document.getElementById("video");
  const fault = document.getElementById("camera-fault");
  const shoot = document.getElementById("shoot");
  button.hidden = false;

  button.addEventListener("click", async () => {
    fault.textContent = "";
    shoot.disabled = true;
    dialog.showModal();
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
      if (!dialog.open) { // closed while the browser asked for leave
        stream.getTracks().forEach((track) => track.stop());
        return;
      }
      video.srcObject = stream;
      await video.play();
      shoot.disabled = false;
      shoot.focus();
    } catch (error) {
      fault.textContent = `The camera cannot be used: ${error.message}.`;
    }
  });
  shoot.addEventListener("click", () => {
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => {
      dialog.close();
      take(blob, "the camera’s picture");
    }, "image/jpeg", 0.9);
  });
  document.getElementById("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    video.srcObject?.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
    button.focus();
  });
}
