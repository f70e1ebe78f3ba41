<?php
// What the server said about the request, as JSON.
header('Content-Type: application/json');
$env = array_filter($_SERVER, 'is_string');
ksort($env);
echo json_encode($env, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES), "\n";
