"""transducer"""
