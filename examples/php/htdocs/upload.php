<?php
// Says what was uploaded: a file of a form, or else the whole body.
header('Content-Type: application/json');
$file = isset($_FILES['file']) ? $_FILES['file']['tmp_name'] : 'php://input';
$in = fopen($file, 'rb');
$hash = hash_init('sha256');
$length = hash_update_stream($hash, $in);
echo json_encode(['length' => $length, 'sha256' => hash_final($hash)]), "\n";
